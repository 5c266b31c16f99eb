// Full images on local disk, for an uploader or for whoever holds one.
//
// `ltx/9/<min>-<max>.ltx`  had to be finished locally (see first-image.ts), and waits for the uploader.
// `ltx/9/<min>-<max>.held` the same, for whoever holds it (see replica-image.ts); after a crash it goes.
import { join } from "node:path";
import { formatLtxName, parseLtxName } from "../../core/ltx/file-name.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import type { LocalFile, LtxChunks, LtxFiles } from "./ltx-files.ts";

/** A full image that could not be streamed and waits here for the uploader. */
export interface StagedImage extends LocalFile {
  readonly header: LtxHeader;
}

/** A full image on local disk, there until it is disposed. */
export interface HeldImage extends AsyncDisposable {
  readonly body: ObjectBody;
}

export class StagedImages {
  readonly #ltx: LtxFiles;
  readonly #directory: string;
  #waiting: StagedImage | undefined;

  constructor(ltx: LtxFiles, directory: string) {
    this.#ltx = ltx;
    this.#directory = directory;
  }

  /** The image that waits for the uploader. */
  get waiting(): StagedImage | undefined {
    return this.#waiting;
  }

  /** Finds the image that waits, and removes what a crash left half done. */
  async load(): Promise<void> {
    const { fileSystem } = this.#ltx;
    this.#waiting = undefined;
    for (const name of (await fileSystem.list(this.#directory)) ?? []) {
      const path = join(this.#directory, name);
      const status = await fileSystem.status(path);
      if (parseLtxName(name) === undefined || status === undefined) {
        await fileSystem.unlink(path);
        continue;
      }
      const header = await this.#ltx.readHeader(path);
      this.#waiting = { header, path, sizeBytes: status.sizeBytes };
    }
  }

  /** Stages a full image for the uploader. */
  async stage(header: LtxHeader, chunks: LtxChunks): Promise<StagedImage> {
    await this.#ltx.makeDirectory(this.#directory);
    const path = join(this.#directory, formatLtxName(header.minTxid, header.maxTxid));
    this.#waiting = { header, ...(await this.#ltx.create(path, chunks)) };
    return this.#waiting;
  }

  /** Removes the image that waits, if there is one. */
  async remove(): Promise<void> {
    if (this.#waiting !== undefined) await this.#ltx.fileSystem.unlink(this.#waiting.path);
    this.#waiting = undefined;
  }

  /** Writes a full image for somebody who disposes it; a crash ends it too. */
  async hold(name: string, chunks: LtxChunks): Promise<HeldImage> {
    await this.#ltx.makeDirectory(this.#directory);
    const path = join(this.#directory, `${name}.held`);
    const remove = async (): Promise<void> => void (await this.#ltx.fileSystem.unlink(path));
    try {
      const sizeBytes = await this.#ltx.write(path, chunks);
      return { body: this.#ltx.body({ path, sizeBytes }), [Symbol.asyncDispose]: remove };
    } catch (error) {
      await remove().catch(() => undefined);
      throw error;
    }
  }
}
