// The newest state of a replica as a file beside the output: what a follower starts with, and what it compares an output
// with that is not what it should be.
import { must } from "../../core/base/assert.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { ChainState } from "../../core/replica/chain-state.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { patchDatabaseHeader } from "../../core/sqlite/database-header.ts";
import { takePatchedBytes } from "../../core/sqlite/patched-header.ts";
import { applyFiles } from "../restore/apply.ts";
import { Download } from "../restore/download.ts";
import type { Environment } from "../restore/environment.ts";
import { type Output, nameOutput, openTemporary, publishOutput } from "../restore/output.ts";
import { type IntegrityCheck, checkIntegrity } from "../restore/sqlite-process.ts";
import type { PageChange } from "./page-change.ts";

export interface FetchImageOptions extends Waiting {
  readonly environment: Environment;
  readonly store: ObjectStore;
  readonly codec: Codec;
  /** The output. */
  readonly path: string;
  readonly parallelism: number;
  readonly onBytes?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/** A proved database in a temporary file. Disposing it removes the file, unless it was published. */
export class Image implements AsyncDisposable {
  readonly state: ChainState;
  /** The newest file in it. */
  readonly newest: ReplicaFile;
  /** Of the full image that it begins with. */
  readonly imageTxid: Txid;
  /** Whether the newest file proved it. */
  readonly isProved: boolean;
  /** `takePatchedBytes` of its page 1, which is as it came. */
  readonly patched: Uint8Array;
  readonly #environment: Environment;
  readonly #output: Output;
  readonly #file: OpenFile;
  #isPublished = false;

  private constructor(
    environment: Environment,
    output: Output,
    content: Pick<Image, "state" | "newest" | "imageTxid" | "isProved" | "patched"> & {
      readonly file: OpenFile;
    },
  ) {
    this.#environment = environment;
    this.#output = output;
    this.#file = content.file;
    this.state = content.state;
    this.newest = content.newest;
    this.imageTxid = content.imageTxid;
    this.isProved = content.isProved;
    this.patched = content.patched;
  }

  /** Downloads `files`, which make it. Throws what `applyFiles` does, and `restore/output`. */
  static async fetch(files: readonly ReplicaFile[], options: FetchImageOptions): Promise<Image> {
    const { environment, store, codec, path, parallelism, onBytes, signal } = options;
    const { fileSystem, random } = environment;
    const output = await nameOutput(path, random);
    const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let doneBytes = 0;
    await using download = new Download(store, files, {
      parallelism,
      signal,
      onBytes: (bytes) => onBytes?.((doneBytes += bytes), totalBytes),
    });
    const file = await openTemporary(fileSystem, output);
    try {
      const { state, isProved } = await applyFiles(files, {
        codec,
        download,
        output: file,
        signal,
      });
      const first = new Uint8Array(must(state, "the state that files make").pageSize);
      await file.read(first, 0);
      return new Image(environment, output, {
        file,
        state: must(state, "the state that files make"),
        newest: must(files.at(-1), "last file of a plan"),
        imageTxid: must(files[0], "first file of a plan").maxTxid,
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
    const { pageSize, commit } = this.state;
    const pgnos: number[] = [];
    for (let pgno = 1; pgno <= commit; pgno++) {
      if (this.state.pageChecksum(pgno) !== from.get(pgno)) pgnos.push(pgno);
    }
    return {
      pageSize,
      keep: Math.min(commit, from.commit),
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
    const { pageSize, commit } = this.state;
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
