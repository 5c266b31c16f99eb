// Transaction ids: 64 bits, counted from 1, written as 16 lower-case hexadecimal digits.
import type { Brand } from "../base/brand.ts";
import { toHex64 } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";

/** A transaction id, 1 .. 2^64-1. Made by `toTxid` or `parseTxid` only. */
export type Txid = Brand<bigint, "Txid">;

const maxTxid = 0xffff_ffff_ffff_ffffn;

/** Checks the range. Throws `ltx/invalid`. */
export function toTxid(value: bigint | number): Txid {
  const txid = BigInt(value);
  if (txid < 1n || txid > maxTxid) {
    throw new HeadwaterError(
      "ltx/invalid",
      `TXID ${txid} is out of range: TXIDs start at 1 and have 64 bits.`,
    );
  }
  // The range has just been checked.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return txid as Txid;
}

/** The TXID after `txid`. */
export function nextTxid(txid: Txid): Txid {
  return toTxid(txid + 1n);
}

/** 16 lower-case hexadecimal digits. */
export function formatTxid(txid: Txid): string {
  return toHex64(txid);
}

/** Reads exactly 16 hexadecimal digits; `undefined` for anything else, zero included. */
export function parseTxid(text: string): Txid | undefined {
  if (!/^[0-9a-f]{16}$/u.test(text)) return undefined;
  const value = BigInt(`0x${text}`);
  return value === 0n ? undefined : toTxid(value);
}
