// Views that a primary keeps new: what it pushes is the newest state at once, read from memory until the store has it.
import type { Waiting } from "../base/async.ts";
import { areContradictory } from "../ltx/header.ts";
import {
  PushClient,
  type PushClientOptions,
  type PushSink,
  type Taken,
} from "../push/push-client.ts";
import type { ChainPoint } from "../replica/chain-files.ts";
import type { PushedFiles, ReceivedFile } from "../push/pushed-files.ts";
import type { ReplicaViews } from "../view/replica-views.ts";
import type { FollowLoop } from "./follow-loop.ts";

export interface PushedViewsOptions extends Omit<PushClientOptions, "sink"> {
  readonly views: ReplicaViews;
  readonly files: PushedFiles;
  /** What looks at the store. */
  readonly loop: FollowLoop;
  /** There is another state than before. */
  readonly onNews?: (() => void) | undefined;
}

/** Follows the primary until it is disposed. Throws `usage/invalid` for an address that is none. */
export class PushedViews implements PushSink, AsyncDisposable {
  readonly #options: PushedViewsOptions;
  readonly #stop = new AbortController();
  readonly #client: PushClient;

  constructor(options: PushedViewsOptions) {
    this.#options = options;
    this.#client = new PushClient({ ...options, sink: this });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#client[Symbol.asyncDispose]();
  }

  /** Waits until the newest state is what the primary had when it was connected to; false: it is away, or cannot bring it. */
  caughtUp(waiting: Waiting): Promise<boolean> {
    return this.#client.caughtUp(waiting);
  }

  get position(): ChainPoint {
    const { txid, checksum } = this.#options.views;
    return { txid, checksum };
  }

  async take(file: ReceivedFile): Promise<Taken> {
    const { views, files, loop, onNews } = this.#options;
    const { txid, checksum } = this.position;
    const { minTxid, maxTxid, proof } = file.header;
    // The store was faster.
    if (maxTxid <= txid) return "taken";
    if (minTxid !== txid + 1n) return "no-room";
    if (areContradictory(proof?.before ?? 0n, checksum)) return "other-history";
    const isKept = files.add(file) !== undefined;
    // What the store has by now need not be kept any more.
    if (files.sizeBytes > files.maxBytes / 2 || !isKept) loop.hurry();
    if (!isKept) return "no-room";
    const isReached = (await views.takePushed(this.#stop)) || views.txid >= maxTxid;
    if (!isReached) return "other-history";
    onNews?.();
    return "taken";
  }

  noteDurable(): void {
    // The store is looked at anyway.
  }

  noteLive(isLive: boolean): void {
    this.#options.loop.isTold = isLive;
  }

  async leave(): Promise<void> {
    await this.#options.views.leavePushed(this.#stop);
    this.#options.onNews?.();
  }
}
