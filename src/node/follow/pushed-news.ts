// What a primary pushes, as a source of files for a follower: kept in memory until they are in the output. The store stays
// what decides; a follower that is ahead of it waits for it, unless the store shows another history.
import type { Codec } from "../../core/codec/codec.ts";
import { areContradictory } from "../../core/ltx/header.ts";
import { PushClient, type PushSink, type Taken } from "../../core/push/push-client.ts";
import type { ChainPoint } from "../../core/replica/chain-files.ts";
import { PushedFiles, type ReceivedFile, isPushedKey } from "../../core/push/pushed-files.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { Environment } from "../restore/environment.ts";
import type { Position } from "./state-file.ts";

export interface PushedNewsOptions {
  readonly url: string;
  readonly token: string | undefined;
  readonly codec: Codec;
  readonly environment: Pick<Environment, "clock" | "random" | "logger">;
  /** Where the output is; `undefined` while that is not known. */
  readonly at: () => ChainPoint | undefined;
  /** There is something to look at. */
  readonly onNews: () => void;
}

/** Where the output is, and by which file it came there. */
type FollowedPoint = Pick<Position, "file">;

export class PushedNews implements PushSink, AsyncDisposable {
  readonly #files = new PushedFiles();
  readonly #options: PushedNewsOptions;
  #client: PushClient | undefined;
  /** Where the output was when that was last known. */
  #lastAt: ChainPoint | undefined;
  #isLive = false;
  /** The primary has another history than what it has pushed. */
  #isOther = false;

  constructor(options: PushedNewsOptions) {
    this.#options = options;
  }

  /** Begins to follow the primary. Throws `usage/invalid` for an address that is none. */
  start(): void {
    const { environment, ...options } = this.#options;
    this.#client = new PushClient({ ...options, ...environment, fetch, sink: this });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
  }

  /** The store, with the files that were pushed. */
  over(store: ObjectStore): ObjectStore {
    return this.#files.over(store);
  }

  /** True while the primary tells whatever is new. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** The files that lead on from the output. Those before it are forgotten. */
  following(txid: bigint): readonly ReplicaFile[] {
    this.#files.retain(({ file }) => file.maxTxid > txid);
    return this.#files.following({ txid, checksum: 0n }).map(({ file }) => file);
  }

  /** Whether the output came by push to where the primary says it never was. Asking takes it back. */
  takeOtherHistory({ file }: FollowedPoint): boolean {
    const isOther = this.#isOther && isPushedKey(file.key);
    this.#isOther = false;
    return isOther;
  }

  // --- as the sink of a client ------------------------------------------------------------------------

  get position(): ChainPoint | undefined {
    // While a change is applied, the output is between two states.
    this.#lastAt = this.#options.at() ?? this.#lastAt;
    const at = this.#lastAt;
    if (at === undefined) return undefined;
    const last = this.#files.following(at).at(-1);
    return last === undefined ? at : { txid: last.file.maxTxid, checksum: last.after };
  }

  take(file: ReceivedFile): Taken {
    const { position } = this;
    const { minTxid, maxTxid, proof } = file.header;
    // The store was faster.
    if (position !== undefined && maxTxid <= position.txid) return "taken";
    if (position === undefined || minTxid !== position.txid + 1n) return "no-room";
    if (areContradictory(proof?.before ?? 0n, position.checksum)) return "other-history";
    if (this.#files.add(file) === undefined) return "no-room";
    this.#options.onNews();
    return "taken";
  }

  noteDurable(): void {
    // The store is looked at anyway.
  }

  noteLive(isLive: boolean): void {
    this.#isLive = isLive;
    if (!isLive) this.#options.onNews();
  }

  leave(): void {
    this.#files.retain(() => false);
    this.#isOther = true;
    this.#options.onNews();
  }
}
