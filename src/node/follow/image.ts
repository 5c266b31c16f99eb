// The newest state of a replica as a file beside the output: what a follower starts with, and what it compares an output
// with that is not what it should be.
import { must } from "../../core/base/assert.ts";
import { lockPgno } from "../../core/base/page.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { patchDatabaseHeader } from "../../core/sqlite/database-header.ts";
import { takePatchedBytes } from "../../core/sqlite/patched-header.ts";
import { applyFiles } from "../restore/apply.ts";
import { Download } from "../restore/download.ts";
import type { Environment } from "../restore/environment.ts";
import { type Output, openTemporary, publishOutput } from "../restore/output.ts";
import { type IntegrityCheck, checkIntegrity } from "../restore/sqlite-process.ts";
import type { Target } from "./collected-change.ts";
import type { NewestState } from "./new-files.ts";
import type { PageChange } from "./page-change.ts";

/** Where an image lies until it is in place, or has served. Nobody else uses the name: the state file is locked. */
export function imagePathOf(output: string): string {
  return `${output}-follow.image`;
}

export interface FetchImageOptions extends Waiting {
  readonly environment: Environment;
  readonly store: ObjectStore;
  readonly codec: Codec;
  /** Of the output: absolute, links resolved. */
  readonly path: string;
  readonly parallelism: number;
  readonly onBytes?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/** A proved database in a temporary file. Disposing it removes the file, unless it was published. */
export class Image implements AsyncDisposable {
  /** What the output is once it is the same. Its page 1 is as it came. */
  readonly target: Target;
  readonly #environment: Environment;
  readonly #output: Output;
  readonly #file: OpenFile;
  #isPublished = false;

  private constructor(environment: Environment, output: Output, file: OpenFile, target: Target) {
    this.#environment = environment;
    this.#output = output;
    this.#file = file;
    this.target = target;
  }

  /** Downloads it. Throws what `applyFiles` does, and `restore/output`. */
  static async fetch(
    { files, imageTxid }: NewestState,
    options: FetchImageOptions,
  ): Promise<Image> {
    const { environment, store, codec, path, parallelism, onBytes, signal } = options;
    const { fileSystem } = environment;
    const output = { path, temporaryPath: imagePathOf(path) };
    const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let doneBytes = 0;
    await using download = new Download(store, files, {
      parallelism,
      signal,
      onBytes: (bytes) => onBytes?.((doneBytes += bytes), totalBytes),
    });
    await fileSystem.unlink(output.temporaryPath);
    const file = await openTemporary(fileSystem, output);
    try {
      const { state, isProved } = await applyFiles(files, {
        codec,
        download,
        output: file,
        signal,
      });
      const reached = must(state, "the state that files make");
      const newest = must(files.at(-1), "last file of a plan");
      const first = new Uint8Array(reached.pageSize);
      await file.read(first, 0);
      return new Image(environment, output, file, {
        state: reached,
        newest,
        timestampMs: newest.timestampMs,
        imageTxid,
        isProved,
        patched: takePatchedBytes(first),
      });
    } catch (error) {
      await file.close();
      await fileSystem.unlink(output.temporaryPath).catch(() => undefined);
      throw error;
    }
  }

  /** What it has otherwise than a database with these checksums. Valid until the image is disposed. */
  differences(from: PageChecksums): PageChange {
    const { pageSize, commit } = this.target.state;
    const isComparable = from.pageSize === pageSize;
    const lock = lockPgno(pageSize);
    const pgnos: number[] = [];
    for (let pgno = 1; pgno <= commit; pgno++) {
      const isSame = isComparable && this.target.state.pageChecksum(pgno) === from.get(pgno);
      if (!isSame && pgno !== lock) pgnos.push(pgno);
    }
    return {
      pageSize,
      keep: isComparable ? Math.min(commit, from.commit) : 0,
      commit,
      pgnos: Uint32Array.from(pgnos),
      source: this.#file,
      offsetOf: (pgno) => (pgno - 1) * pageSize,
    };
  }

  /** SQLite's own check. Throws `restore/integrity`. */
  async check(kind: IntegrityCheck, { signal }: Waiting): Promise<void> {
    const { path: name, temporaryPath } = this.#output;
    await checkIntegrity(temporaryPath, { kind, name, signal });
  }

  /** Makes it readable while it is followed: rollback-journal mode, and this change counter. */
  async patch(changeCounter: number): Promise<void> {
    const { pageSize, commit } = this.target.state;
    const first = new Uint8Array(pageSize);
    await this.#file.read(first, 0);
    patchDatabaseHeader(first, { pageCount: commit, changeCounter });
    await this.#file.write(first, 0);
    await this.#file.sync();
  }

  /** Puts the file in the output's place. Throws `restore/*`; nothing has changed then. */
  async publish(options: Waiting & { readonly force: boolean }): Promise<void> {
    await publishOutput(this.#environment.fileSystem, this.#output, options);
    this.#isPublished = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    if (this.#isPublished) return;
    // What went wrong before matters more than a file that cannot be removed.
    await this.#environment.fileSystem.unlink(this.#output.temporaryPath).catch(() => undefined);
  }
}
