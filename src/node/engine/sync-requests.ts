// Callers of `sync()`: each waits for one TXID to be in the replica; those that come while a batch is being staged
// wait for the next one, which starts at once.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Txid } from "../../core/ltx/txid.ts";

interface Request {
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

  add(): Promise<Txid> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  /** A flush begins: it will cover everything those waiting have seen committed. */
  take(): void {
    this.#taken.push(...this.#waiting);
    this.#waiting = [];
  }

  /** The flush is staged up to `txid`. */
  aimAt(txid: Txid | undefined): void {
    if (txid !== undefined && this.#taken.length > 0)
      this.#aimed.push({ txid, requests: this.#taken });
    else for (const request of this.#taken) request.reject(nothingThere());
    this.#taken = [];
  }

  /** The history was settled anew and now ends at `txid`: what was staged before may have been set aside. */
  aimAnew(txid: Txid): void {
    const requests = this.#aimed.flatMap((aimed) => aimed.requests);
    this.#aimed = requests.length === 0 ? [] : [{ txid, requests }];
  }

  /** Everything through `acked` is in the replica. */
  resolveThrough(acked: bigint, head: Txid | undefined): void {
    if (head === undefined) return;
    const done = this.#aimed.filter(({ txid }) => txid <= acked);
    this.#aimed = this.#aimed.filter(({ txid }) => txid > acked);
    for (const { txid, requests } of done) for (const request of requests) request.resolve(txid);
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
}

function nothingThere(): HeadwaterError {
  return new HeadwaterError("capture/gone", "There is no database to synchronise yet.");
}
