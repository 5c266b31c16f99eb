// What a run of files changes in the output, read whole and proved before anything is written.
import { must } from "../../core/base/assert.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { FileSystem, OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { ChainState } from "../../core/replica/chain-state.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { takePatchedBytes } from "../../core/sqlite/patched-header.ts";
import { replayFiles } from "../restore/apply.ts";
import { Download } from "../restore/download.ts";
import { type PageChange, readFirstPage } from "./page-change.ts";
import type { Descent } from "./recent-states.ts";
import { Spool } from "./spool.ts";
import type { Position } from "./state-file.ts";

/** Where the pages of a change lie until they are in the output. */
export function spoolPathOf(output: string): string {
  return `${output}-follow.spool`;
}

/** What the output is after a change. */
export interface Target extends Pick<
  Position,
  "timestampMs" | "imageTxid" | "isProved" | "patched"
> {
  readonly state: ChainState;
  /** The newest file in it. */
  readonly newest: ReplicaFile;
}

/** Where the output is once it is `target` and has this change counter. */
export function positionOf(target: Target, changeCounter: number): Position {
  const { key, etag, maxTxid: txid } = target.newest;
  const { timestampMs, imageTxid, isProved, patched } = target;
  return { txid, timestampMs, file: { key, etag }, imageTxid, isProved, changeCounter, patched };
}

export interface CollectOptions extends Waiting {
  readonly fileSystem: FileSystem;
  readonly store: ObjectStore;
  readonly codec: Codec;
  /** The output. */
  readonly path: string;
  readonly parallelism: number;
  /** Of the output. */
  readonly position: Position;
  /** Of the output; they become those after the change, or worthless. */
  readonly checksums: PageChecksums;
}

/** What is to be written into the output: proved, and held until it is disposed. */
export interface ProvedChange extends AsyncDisposable {
  readonly change: PageChange;
  readonly target: Target;
  /** From which state of the output the target has come. */
  readonly descent: Descent;
}

/** Its pages lie in a file beside the output until it is disposed. */
export class CollectedChange implements ProvedChange {
  readonly change: PageChange;
  readonly target: Target;
  readonly descent: Descent;
  readonly #spool: AsyncDisposable;

  private constructor(
    { change, target, descent }: Pick<ProvedChange, "change" | "target" | "descent">,
    spool: AsyncDisposable,
  ) {
    this.change = change;
    this.target = target;
    this.descent = descent;
    this.#spool = spool;
  }

  /** Reads `files`, which continue the output. Throws what `replayFiles` does. */
  static async of(
    files: readonly ReplicaFile[],
    { fileSystem, store, codec, path, parallelism, position, checksums, signal }: CollectOptions,
  ): Promise<CollectedChange> {
    const state = ChainState.at(position.txid, checksums);
    await using stack = new AsyncDisposableStack();
    const spool = new Spool(await openSpool(fileSystem, path, stack), checksums);
    await using download = new Download(store, files, { parallelism, signal });
    const { isProved } = await replayFiles(files, { codec, download, sink: spool, state, signal });
    const change = spool.toChange();
    const first = await readFirstPage(change);
    const target: Target = {
      state,
      newest: must(files.at(-1), "a file to apply"),
      timestampMs: spool.timestampMs,
      imageTxid: position.imageTxid,
      isProved,
      patched: first === undefined ? position.patched : takePatchedBytes(first),
    };
    const { pgnos, keep: floor } = change;
    const descent = { base: position.txid, changed: { pgnos, floor } };
    return new CollectedChange({ change, target, descent }, stack.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spool[Symbol.asyncDispose]();
  }
}

/** Opens an empty file for pages. Disposing `stack` removes it. */
export async function openSpool(
  fileSystem: FileSystem,
  output: string,
  stack: AsyncDisposableStack,
): Promise<OpenFile> {
  const path = spoolPathOf(output);
  // Whatever went wrong matters more than a file that cannot be removed; the next one takes its place.
  stack.defer(async () => void (await fileSystem.unlink(path).catch(() => undefined)));
  return stack.use(await fileSystem.open(path, "create"));
}
