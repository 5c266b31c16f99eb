// Which SQLite a statement may go to once there is a local copy. Reads may go to the copy. Whatever gives the connection a state
// of its own, such as `BEGIN`, `ATTACH` or a temporary table, is kept by the WebAssembly SQLite alone.
import { scanSql } from "../../core/vfs/scan-sql.ts";

/**
 * `read`: both give the same. `plain`: it leaves nothing behind but, perhaps, a transaction. `own`: it may leave tables or
 * databases behind, or take them away. `setting`: it may change what others do, for good.
 */
export type StatementKind = "read" | "plain" | "own" | "setting";

const reads: ReadonlySet<string> = new Set(["select", "values", "with"]);
const plains: ReadonlySet<string> = new Set(["begin", "commit", "end", "explain", "savepoint"]);

/** PRAGMAs that only tell something, also when they are given a value. */
const telling = /^(?:\w+_(?:info|xinfo|list|check|count)|compile_options|schema_version)$/u;

/** Tables in which SQLite tells of its connection. */
const tellsOfItself = /^pragma_/u;

export function kindOf(sql: string): StatementKind {
  const { words } = scanSql(sql);
  const [first] = words;
  if (first === undefined || plains.has(first)) return "plain";
  if (reads.has(first)) {
    const isSame = !sql.includes("\0") && !words.some((word) => tellsOfItself.test(word));
    return isSame ? "read" : "plain";
  }
  if (first !== "pragma") return "own";
  const isTelling = !/[=(]/u.test(sql) || words.slice(1, 3).some((word) => telling.test(word));
  return isTelling ? "plain" : "setting";
}
