// The manifest of a replica, as it is now: asked for again and again, sent again only if it has changed.
import type { Waiting } from "../base/async.ts";
import { collectBytes } from "../base/bytes.ts";
import type { ObjectContent, ObjectStore } from "../store/object-store.ts";
import { type Manifest, manifestFault, manifestKey, maxManifestBytes } from "./manifest.ts";
import { parseManifest } from "./parse-manifest.ts";

export class ManifestReader {
  readonly #store: Pick<ObjectStore, "get" | "url">;
  #etag: string | undefined;
  #manifest: Manifest | undefined;

  constructor(store: Pick<ObjectStore, "get" | "url">) {
    this.#store = store;
  }

  /**
   * The manifest: the same object as before if it is the same. `undefined` if there is none. Throws `replica/manifest` for
   * one that cannot be used, and what the store throws.
   */
  async read({ signal }: Waiting): Promise<Manifest | undefined> {
    const content = await this.#store.get(manifestKey, { unlessEtag: this.#etag, signal });
    if (content === undefined) return undefined;
    const { etag } = content.info;
    if (this.#manifest !== undefined && etag !== "" && etag === this.#etag) {
      await letGo(content);
      return this.#manifest;
    }
    const bytes = await readManifestBytes(content, this.#store.url);
    const manifest = parseManifest(bytes, this.#store.url);
    this.#manifest = manifest;
    this.#etag = etag === "" ? undefined : etag;
    return manifest;
  }
}

/** Throws `replica/manifest` for an object that is too large to be one. */
export async function readManifestBytes(
  { info, body }: ObjectContent,
  url: string,
): Promise<Uint8Array<ArrayBuffer>> {
  if (info.sizeBytes > maxManifestBytes) throw manifestFault(url, "is too large to be a manifest");
  return collectBytes(body);
}

async function letGo({ body }: ObjectContent): Promise<void> {
  for await (const _ of body) break;
}
