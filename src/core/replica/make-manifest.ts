// From what is known of a replica to its manifest. Pure, but for reading what is not known yet of the files that readers open
// first.
import { type Waiting, mapConcurrent } from "../base/async.ts";
import { hasCode } from "../base/errors.ts";
import { toTxid } from "../ltx/txid.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import { type FileFacts, readFileFacts } from "./file-facts.ts";
import type { Manifest, ManifestFile, ManifestHot, WithdrawnFile } from "./manifest.ts";
import { planRestore } from "./plan.ts";

/** Files that are looked into at the same time. */
const readLimit = 8;

/** What is known beside the listing. */
export interface KnownOfFiles {
  readonly factsOf: (file: ReplicaFile) => FileFacts | undefined;
  readonly checksumKeyOf: (file: ReplicaFile) => string | undefined;
  readonly hot: ManifestHot | undefined;
  readonly withdrawn?: readonly WithdrawnFile[] | undefined;
}

/** The manifest of the files; `undefined` if there are none, or the newest of them cannot be read. */
export function makeManifest(
  files: readonly ReplicaFile[],
  known: KnownOfFiles,
): Manifest | undefined {
  const head = newestOf(files, known);
  if (head === undefined) return undefined;
  const { maxTxid: txid, timestampMs, pageSize, commit } = head;
  const { hot, withdrawn = [] } = known;
  return {
    txid,
    timestampMs,
    pageSize,
    commit,
    files: files
      .map((file) => toManifestFile(file, pageSize, known))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    hot,
    withdrawn,
  };
}

/** The files that the newest state is read from and of which `isKnown` is false: what a reader would have to look into. */
export function unknownOfNewest(
  files: readonly ReplicaFile[],
  isKnown: (file: ReplicaFile) => boolean,
): readonly ReplicaFile[] {
  try {
    return planRestore(files, { kind: "latest" }).filter((file) => !isKnown(file));
  } catch (error) {
    // It cannot be read: that is for others to say.
    if (hasCode(error, "replica/empty", "replica/gap")) return [];
    throw error;
  }
}

/** What stands in the files, two small requests for each. Files that are gone or damaged are left out. */
export async function readAllFacts(
  store: ObjectStore,
  files: readonly ReplicaFile[],
  { signal }: Waiting,
): Promise<ReadonlyMap<ReplicaFile, FileFacts>> {
  const found = new Map<ReplicaFile, FileFacts>();
  await mapConcurrent(files, readLimit, async (file) => {
    const facts = await readFileFacts(store, file, { signal });
    if (facts !== undefined) found.set(file, facts);
  });
  return found;
}

/** What is inside the newest file of which that is known. */
function newestOf(files: readonly ReplicaFile[], { factsOf }: KnownOfFiles): FileFacts | undefined {
  const newest = files.reduce((max, { maxTxid }) => (maxTxid > max ? maxTxid : max), 0n);
  if (newest === 0n) return undefined;
  const txid = toTxid(newest);
  const ends = files.filter(({ maxTxid }) => maxTxid === txid).map(factsOf);
  return ends.find((facts) => facts !== undefined);
}

function toManifestFile(
  { level, minTxid, maxTxid, key, sizeBytes, etag, timestampMs, isExactTime }: ReplicaFile,
  pageSize: number,
  { factsOf, checksumKeyOf }: KnownOfFiles,
): ManifestFile {
  const listed = { level, minTxid, maxTxid, key, sizeBytes, etag, timestampMs, isExactTime };
  const facts = factsOf(listed);
  const checksumKey = checksumKeyOf(listed);
  // A file of another page size is none of this database.
  if (facts?.pageSize !== pageSize) return { ...listed, checksumKey };
  const { commit, indexSizeBytes, proof } = facts;
  return {
    ...listed,
    timestampMs: facts.timestampMs,
    isExactTime: true,
    inside: { commit, indexSizeBytes, proof },
    checksumKey,
  };
}
