// Whether a follower has everything that its primary had when it was connected to, for whoever wants to wait for that.
import { type Waiting, orAborted } from "../base/async.ts";

/** So often in a row may the store have to be read instead before nobody waits for the head any more. */
const maxDetours = 3;

export class HeadArrival {
  #arrival = Promise.withResolvers<boolean>();
  #isSettled = false;
  /** Of the connection that there is; `undefined` until it is told. */
  #headTxid: bigint | undefined;
  #detours = 0;

  /**
   * True once the follower is there. False while the primary is away, or cannot bring the follower there: then only the store
   * can. Throws the signal's reason.
   */
  wait(waiting: Waiting): Promise<boolean> {
    return orAborted(this.#arrival.promise, waiting);
  }

  /** A connection begins: the primary is there, the follower at `txid`. */
  noteHead(headTxid: bigint, txid: bigint): void {
    this.#headTxid = headTxid;
    if (this.#isSettled) this.#arrival = Promise.withResolvers<boolean>();
    this.#isSettled = false;
    this.noteAt(txid);
  }

  /** How far the follower has come. */
  noteAt(txid: bigint): void {
    if (this.#headTxid === undefined || txid < this.#headTxid) return;
    this.#headTxid = undefined;
    this.#detours = 0;
    this.#settle(true);
  }

  /** The connection has ended because the store is to be read first. */
  noteDetour(): void {
    this.#headTxid = undefined;
    this.#detours++;
    if (this.#detours >= maxDetours) this.#settle(false);
  }

  /** The primary is away, or of no use. */
  noteAway(): void {
    this.#headTxid = undefined;
    this.#detours = 0;
    this.#settle(false);
  }

  #settle(hasArrived: boolean): void {
    if (this.#isSettled) this.#arrival = Promise.withResolvers<boolean>();
    this.#isSettled = true;
    this.#arrival.resolve(hasArrived);
  }
}
