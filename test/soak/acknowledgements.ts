// What Headwater has acknowledged: that a TXID in the replica holds everything committed until then.
import type { Txid } from "../../src/core/ltx/txid.ts";
import { formatTxid } from "../../src/core/ltx/txid.ts";
import { isAtLeast } from "./application.ts";
import type { LedgerState } from "./application.ts";

export interface Acknowledgement {
  readonly txid: Txid;
  /** Committed before it was asked for. */
  readonly least: LedgerState;
  /** Of the database at that moment, if nobody wrote. */
  readonly sha256?: string | undefined;
}

export class Acknowledgements {
  readonly #all: Acknowledgement[] = [];

  get all(): readonly Acknowledgement[] {
    return this.#all;
  }

  add(acknowledged: Acknowledgement): void {
    const last = this.#all.at(-1);
    if (last !== undefined && acknowledged.txid < last.txid)
      throw new Error(
        `TXID ${formatTxid(acknowledged.txid)} was acknowledged after ${formatTxid(last.txid)}`,
      );
    this.#all.push(acknowledged);
  }

  /** Throws if the state that was restored at `txid` lacks what was acknowledged, or is not what was there. */
  check(txid: Txid, state: LedgerState, sha256: string): void {
    const before = this.#all.findLast((one) => one.txid <= txid);
    if (before !== undefined && !isAtLeast(state, before.least))
      throw new Error(
        `it holds transaction ${describe(state)}, but ${formatTxid(before.txid)} was acknowledged for ${describe(before.least)}`,
      );
    const after = this.#all.find((one) => one.txid >= txid);
    if (after !== undefined && state.life > after.least.life)
      throw new Error(`it is of life ${state.life}, which began after ${formatTxid(after.txid)}`);
    const exact = this.#all.find((one) => one.txid === txid && one.sha256 !== undefined);
    if (exact !== undefined && exact.sha256 !== sha256)
      throw new Error("it is not byte for byte the database that was acknowledged");
  }

  /** Whether the exact bytes at `txid` are known. */
  isExact(txid: Txid): boolean {
    return this.#all.some((one) => one.txid === txid && one.sha256 !== undefined);
  }
}

function describe({ life, seq }: LedgerState): string {
  return `${seq} of life ${life}`;
}
