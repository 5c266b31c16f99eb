// Names of LTX files: `<min TXID>-<max TXID>.ltx`, both as 16 lower-case hexadecimal digits.
import type { Txid } from "./txid.ts";
import { formatTxid, parseTxid } from "./txid.ts";

/** The file name for a range of TXIDs. */
export function formatLtxName(minTxid: Txid, maxTxid: Txid): string {
  return `${formatTxid(minTxid)}-${formatTxid(maxTxid)}.ltx`;
}

/** The range in a file name; `undefined` for any other name, upper-case digits and min > max included. */
export function parseLtxName(
  name: string,
): { readonly minTxid: Txid; readonly maxTxid: Txid } | undefined {
  const match = /^(?<min>[0-9a-f]{16})-(?<max>[0-9a-f]{16})\.ltx$/u.exec(name);
  const minTxid = parseTxid(match?.groups?.["min"] ?? "");
  const maxTxid = parseTxid(match?.groups?.["max"] ?? "");
  if (minTxid === undefined || maxTxid === undefined || minTxid > maxTxid) return undefined;
  return { minTxid, maxTxid };
}
