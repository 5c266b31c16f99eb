// The hot pages of a replica, for those who open it by its manifest (docs/formats/hot-pages.md): made anew after a full image and
// after the largest merges, because the pages lie in those files. Nothing depends on them.
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import { collectHotPages } from "../../core/view/collect-hot-pages.ts";
import { encodeHotPages, hotPagesPrefix } from "../../core/view/hot-pages.ts";
import { toViewFiles } from "../../core/view/manifest-files.ts";
import { heavyJobs } from "./heavy-jobs.ts";
import type { ManifestBook } from "./manifest-book.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

/** The key is that of these bytes for ever. */
const web = {
  contentType: "application/octet-stream",
  cacheControl: "public, max-age=31536000, immutable",
};

export class LevelHotPages {
  readonly #parts: ReplicaParts;
  readonly #book: ManifestBook;

  constructor(parts: ReplicaParts, book: ManifestBook) {
    this.#parts = parts;
    this.#book = book;
  }

  /** Makes them for the newest state of `files`. Throws what is wrong with a file, and what the store throws. */
  async run(files: readonly ReplicaFile[], waiting: Waiting): Promise<void> {
    await heavyJobs.run(() => this.#make(files, waiting), waiting);
  }

  async #make(files: readonly ReplicaFile[], { signal }: Waiting): Promise<void> {
    const { link, codec, logger } = this.#parts;
    const { upkeepStore: store, layout } = link;
    const manifest = this.#book.make(files);
    if (manifest === undefined) return;
    const described = toViewFiles(manifest);
    const pages = await collectHotPages({ store, layout, codec, files: described, signal });
    const before = this.#book.hot;
    if (pages === undefined) {
      if (before !== undefined) this.#book.hot = undefined;
      return;
    }
    const { key, bytes } = encodeHotPages(codec, pages);
    if (key === before?.key) return;
    await link.lease.hold({ signal });
    await store.put(key, bodyOf(bytes), { web, signal });
    this.#book.hot = { key, sizeBytes: bytes.length, txid: pages.txid };
    const fields = { key, pages: pages.frames.length, sizeBytes: bytes.length };
    logger.log("debug", "hot-pages.written", fields);
    await this.#deleteOthers([key, before?.key], { signal });
  }

  /** The one before stays: the manifest that readers have may name it. */
  async #deleteOthers(kept: readonly (string | undefined)[], { signal }: Waiting): Promise<void> {
    const { upkeepStore: store } = this.#parts.link;
    if (kept.includes(undefined)) return;
    const keys: string[] = [];
    for await (const { key } of store.list({ prefix: hotPagesPrefix, signal })) {
      if (!kept.includes(key)) keys.push(key);
    }
    if (keys.length > 0) await store.delete(keys, { signal });
  }
}
