// Callers of `sync()` and `stage()`: each waits for one TXID to be in the replica, or on local disk; those that come
// while a batch is being staged wait for the next one, which starts at once.
import { orAborted } from "../../core/base/async.ts";
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Txid } from "../../core/ltx/txid.ts";

/** How far a transaction has to come for its caller. */
type SyncGoal = "staged" | "replicated";

interface Request {
  readonly goal: SyncGoal;
  readonly resolve: (txid: Txid) => void;
  readonly reject: (error: unknown) => void;
}

export class SyncRequests {
  /** Not yet covered by a flush. */
  #waiting: Request[] = [];
  /** Covered by the flush that is under way. */
  #taken: Request[] = [];
  #aimed: { readonly txid: Txid; readonly requests: Request[] }[] = [];

  get isWaiting(): boolean {
    return this.#waiting.length + this.#taken.length > 0;
  }

  /** Somebody waits for the upload of what is staged. */
  get isAimed(): boolean {
    return this.#aimed.length > 0;
  }

  /** Whoever gives up, by the signal, is forgotten. */
  async add(goal: SyncGoal = "replicated", waiting: Waiting = {}): Promise<Txid> {
    const { promise, ...settle } = Promise.withResolvers<Txid>();
    const request = { goal, ...settle };
    this.#waiting.push(request);
    try {
      return await orAborted(promise, waiting);
    } catch (error) {
      this.#forget(request);
      throw error;
    }
  }

  /** A flush begins: it will cover everything those waiting have seen committed. */
  take(): void {
    this.#taken.push(...this.#waiting);
    this.#waiting = [];
  }

  /** The flush is staged up to `txid`. */
  aimAt(txid: Txid | undefined): void {
    const taken = this.#taken;
    this.#taken = [];
    if (txid === undefined) {
      for (const request of taken) request.reject(nothingThere());
      return;
    }
    const requests = taken.filter((request) => !isStaged(request));
    if (requests.length > 0) this.#aimed.push({ txid, requests });
    for (const { goal, resolve } of taken) if (goal === "staged") resolve(txid);
  }

  /** The history was settled anew and now ends at `txid`: what was staged before may have been set aside. */
  aimAnew(txid: Txid): void {
    const requests = this.#aimed.flatMap((aimed) => aimed.requests);
    this.#aimed = requests.length === 0 ? [] : [{ txid, requests }];
  }

  /** Everything through `acked` is in the replica: `endOf` is the restore point there that holds a TXID. */
  resolveThrough(acked: bigint, endOf: (txid: Txid) => Txid): void {
    const done = this.#aimed.filter(({ txid }) => txid <= acked);
    this.#aimed = this.#aimed.filter(({ txid }) => txid > acked);
    for (const { txid, requests } of done)
      for (const request of requests) request.resolve(endOf(txid));
  }

  /** Nothing gets into all replicas any more; what is to be staged is not concerned. */
  rejectReplicated(error: unknown): void {
    const pending = [...this.#waiting, ...this.#taken];
    const aimed = this.#aimed.flatMap(({ requests }) => requests);
    this.#waiting = this.#waiting.filter(isStaged);
    this.#taken = this.#taken.filter(isStaged);
    this.#aimed = [];
    for (const request of [...pending, ...aimed]) if (!isStaged(request)) request.reject(error);
  }

  rejectAll(error: unknown): void {
    const all = [
      ...this.#waiting,
      ...this.#taken,
      ...this.#aimed.flatMap(({ requests }) => requests),
    ];
    this.#waiting = [];
    this.#taken = [];
    this.#aimed = [];
    for (const request of all) request.reject(error);
  }

  #forget(request: Request): void {
    const others = (one: Request): boolean => one !== request;
    this.#waiting = this.#waiting.filter(others);
    this.#taken = this.#taken.filter(others);
    this.#aimed = this.#aimed.flatMap(({ txid, requests }) => {
      const left = requests.filter(others);
      return left.length === 0 ? [] : [{ txid, requests: left }];
    });
  }
}

function isStaged({ goal }: Request): boolean {
  return goal === "staged";
}

function nothingThere(): HeadwaterError {
  return new HeadwaterError("capture/gone", "There is no database to synchronise yet.");
}
