// Manifests of replicas that no engine writes: made from what a store lists.
import { openCodec } from "../../src/core/codec/codec.ts";
import { listReplica } from "../../src/core/replica/catalog.ts";
import { type ReplicaLayout, litestreamLayout } from "../../src/core/replica/layout.ts";
import { makeManifest, readAllFacts } from "../../src/core/replica/make-manifest.ts";
import {
  type Manifest,
  type ManifestHot,
  encodeManifest,
  manifestKey,
} from "../../src/core/replica/manifest.ts";
import { type ObjectStore, bodyOf } from "../../src/core/store/object-store.ts";
import { checksumFileKey, listChecksumFiles } from "../../src/core/view/checksum-file.ts";
import { collectHotPages } from "../../src/core/view/collect-hot-pages.ts";
import { encodeHotPages } from "../../src/core/view/hot-pages.ts";
import { toViewFiles } from "../../src/core/view/manifest-files.ts";

export interface DescribeOptions {
  readonly layout?: ReplicaLayout;
  readonly hot?: ManifestHot | undefined;
  /** False: as of a writer that knows of the files no more than their names. */
  readonly hasInsides?: boolean;
}

/** The manifest of what a store holds now. */
export async function describeReplica(
  store: ObjectStore,
  { layout = litestreamLayout, hot, hasInsides = true }: DescribeOptions = {},
): Promise<Manifest> {
  const files = await listReplica(store, layout, {});
  const facts = await readAllFacts(store, files, {});
  const factsByKey = new Map([...facts].map(([{ key }, found]) => [key, found]));
  const checksumKeys = await listChecksumFiles(store, {});
  const manifest = makeManifest(files, {
    factsOf: ({ key }) => factsByKey.get(key),
    checksumKeyOf: (file) => {
      const key = checksumFileKey(file);
      return checksumKeys.has(key) ? key : undefined;
    },
    hot,
  });
  if (manifest === undefined) throw new Error("there is nothing to describe");
  if (hasInsides) return manifest;
  return { ...manifest, files: manifest.files.map((file) => ({ ...file, inside: undefined })) };
}

/** The same, put beside the files. */
export async function putManifest(store: ObjectStore, options?: DescribeOptions): Promise<void> {
  const bytes = encodeManifest(await describeReplica(store, options));
  await store.put(manifestKey, bodyOf(bytes), {});
}

/** The hot pages of what a store holds now, put beside the files; for a manifest to name. */
export async function putHotPages(
  store: ObjectStore,
  options: DescribeOptions = {},
): Promise<ManifestHot> {
  const { layout = litestreamLayout } = options;
  const codec = openCodec();
  const files = toViewFiles(await describeReplica(store, options));
  const pages = await collectHotPages({ store, layout, codec, files });
  if (pages === undefined) throw new Error("every page lies in a small file");
  const { key, bytes } = encodeHotPages(codec, pages);
  await store.put(key, bodyOf(bytes), {});
  return { key, sizeBytes: bytes.length, txid: pages.txid };
}
