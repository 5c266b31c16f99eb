// Proves that a database holds a gap-free prefix of the transactions that ledger.ts wrote, each of them whole.
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { nextSum, toLedgerHead } from "./ledger.ts";
import type { LedgerHead } from "./ledger.ts";

/**
 * Returns the newest transaction of a restored file. Throws when one is missing, altered or half there, or when
 * SQLite finds the file corrupt. Opens the file as it is, without its WAL and without leaving anything beside it:
 * never give it a live database, least of all in a process that replicates it.
 */
export function checkLedger(path: string): LedgerHead {
  const url = pathToFileURL(path);
  url.searchParams.set("immutable", "1");
  using db = new DatabaseSync(url, { readOnly: true });
  const [integrity] = db.prepare("PRAGMA integrity_check").all();
  if (integrity?.["integrity_check"] !== "ok")
    throw new Error(`${path}: integrity_check says ${JSON.stringify(integrity)}`);
  let head = toLedgerHead(undefined);
  if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'ledger'").get() === undefined)
    return head;
  for (const row of db.prepare("SELECT * FROM ledger ORDER BY seq").iterate()) {
    const next = toLedgerHead(row);
    if (next.seq !== head.seq + 1)
      throw new Error(`${path}: transaction ${head.seq + 1} is missing, ${next.seq} follows`);
    if (next.sum !== nextSum(head.sum, String(row["payload"])))
      throw new Error(`${path}: transaction ${next.seq} or one before it was altered`);
    head = next;
  }
  const documents = db
    .prepare("SELECT count(*) AS count, coalesce(sum(length(body)), 0) AS bytes FROM documents")
    .get();
  if (documents?.["count"] !== head.documentCount || documents["bytes"] !== head.documentBytes)
    throw new Error(
      `${path}: transaction ${head.seq} left ${head.documentCount} documents of ${head.documentBytes} bytes, ` +
        `found ${JSON.stringify(documents)}`,
    );
  return head;
}
