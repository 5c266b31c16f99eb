// Checksum files beside the merged files and the full images of a replica, and beside what of level 0 is as large as an image,
// for those who read single pages of it (docs/formats/checksum-file.md). Each costs one read of its file; nothing depends on them.
import { hasCode } from "../../core/base/errors.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import {
  checksumFileKey,
  leftOverChecksumFiles,
  listChecksumFiles,
  writeChecksumFile,
} from "../../core/view/checksum-file.ts";
import { heavyJobs } from "./heavy-jobs.ts";
import { newestImage } from "./level-snapshot.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

/** What is smaller is fetched in whole as quickly. */
const minImageBytes = 1024 * 1024;

export class LevelChecksums {
  readonly #parts: ReplicaParts;
  /** Keys of the checksum files that are there; unknown until they were listed. */
  #keys: Set<string> | undefined;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
  }

  /** Whether a file lacks its checksum file, or one has lost its file. */
  isBehind(files: readonly ReplicaFile[]): boolean {
    const wanted = checked(files);
    return wanted.length !== this.#keys?.size || wanted.some((file) => !this.#has(file));
  }

  /** A file was replaced under its name: its checksum file is no longer its own. */
  noteReplaced(file: ReplicaFile): void {
    this.#keys?.delete(checksumFileKey(file));
  }

  /** Makes what is missing and deletes what is left over. Throws what is wrong with a file, and what the store throws. */
  async run(files: readonly ReplicaFile[], { signal }: Waiting): Promise<void> {
    const { link, codec, logger } = this.#parts;
    const { upkeepStore: store } = link;
    const keys = new Set(this.#keys ?? (await listChecksumFiles(store, { signal })));
    this.#keys = keys;
    if (link.manifest !== undefined) link.manifest.checksumKeys = keys;
    const wanted = checked(files);
    for (const file of wanted.filter((one) => !this.#has(one))) {
      await link.lease.hold({ signal });
      try {
        await heavyJobs.run(() => writeChecksumFile(file, { store, codec, signal }), { signal });
      } catch (error) {
        // Retention was faster.
        if (hasCode(error, "store/changed")) continue;
        throw error;
      }
      keys.add(checksumFileKey(file));
      if (link.manifest !== undefined) link.manifest.checksumKeys = keys;
      logger.log("debug", "page-checksums.written", { key: file.key });
    }
    const left = leftOverChecksumFiles(keys, wanted);
    if (left.length === 0) return;
    await link.lease.hold({ signal });
    await store.delete(left, { signal });
    for (const key of left) keys.delete(key);
  }

  #has(file: ReplicaFile): boolean {
    return this.#keys?.has(checksumFileKey(file)) ?? false;
  }
}

/**
 * Level 0 is read in whole, which proves it. But a database that was captured anew, because its local state was lost, is a
 * file of level 0 with every page, and most of them are what readers have already.
 */
function checked(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
  const image = newestImage(files);
  const largeBytes = Math.max(minImageBytes, (image?.sizeBytes ?? 0) / 2);
  return files.filter(({ level, sizeBytes }) => level > 0 || sizeBytes >= largeBytes);
}
