// SQLite runs in a process of its own: it can be killed in the middle of a long check, and the program that called us
// may have another SQLite library on the same file (two in one process destroy each other's locks).
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { HeadwaterError } from "../../core/base/errors.ts";
import { siblingModule } from "../base/sibling-module.ts";
import type { SqliteReply, SqliteRequest } from "./sqlite-child.ts";

export type IntegrityCheck = "none" | "quick" | "full";

/**
 * `folded`: everything is in the database file, nobody has it open. `busy`: another program has. `unreadable`: SQLite
 * cannot open it as a database.
 */
export type FoldOutcome = "folded" | "busy" | "unreadable";

/** Rows that an error message shows; all of them are in its data. */
const shownRowLimit = 10;

/**
 * Runs SQLite's `quick_check` or `integrity_check` without changing the file or leaving anything beside it. Throws
 * `restore/integrity` with every row that SQLite reports; `name` is what the message calls the database.
 */
export async function checkIntegrity(
  path: string,
  { kind, name, signal }: { kind: IntegrityCheck; name: string; signal: AbortSignal | undefined },
): Promise<void> {
  if (kind === "none") return;
  const reply = await ask({ task: "check", path, kind }, signal);
  const rows = reply.kind === "rows" ? reply.rows : [reply.kind === "failed" ? reply.message : ""];
  if (rows.length === 1 && rows[0] === "ok") return;
  const shown = rows.slice(0, shownRowLimit).map((row) => `\n  ${row}`);
  const more = rows.length > shownRowLimit ? `\n  and ${rows.length - shownRowLimit} more` : "";
  throw new HeadwaterError(
    "restore/integrity",
    `The restored database fails SQLite's ${kind} check, so ${name} was not written:${shown.join("")}${more}\n` +
      "Restore an earlier TXID, or restore without the check to look at the damage.",
    { data: { name, kind, rows } },
  );
}

/** Moves what is in the WAL or a hot journal into the database file and removes them. */
export async function foldSidecars(
  path: string,
  { signal }: { readonly signal: AbortSignal | undefined },
): Promise<FoldOutcome> {
  const reply = await ask({ task: "fold", path }, signal);
  if (reply.kind !== "failed") return "folded";
  if (reply.isBusy) return "busy";
  if (reply.isUnreadable) return "unreadable";
  throw new HeadwaterError(
    "restore/output",
    `What ${path} has in its -wal or -journal cannot be brought into it: ${reply.message}. Check space and permissions; ` +
      "nothing was changed.",
    { data: { path } },
  );
}

async function ask(request: SqliteRequest, signal: AbortSignal | undefined): Promise<SqliteReply> {
  signal?.throwIfAborted();
  const child = spawn(
    process.execPath,
    ["--no-warnings", siblingModule(import.meta.url, "sqlite-child"), JSON.stringify(request)],
    {
      stdio: ["ignore", "pipe", "pipe"],
      ...(signal === undefined ? {} : { signal, killSignal: "SIGKILL" }),
    },
  );
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const [exit, output, errors] = await Promise.all([
    ended,
    text(child.stdout),
    text(child.stderr),
  ]).catch((error: unknown) => {
    // The reason of an abort says more than that there was one.
    signal?.throwIfAborted();
    throw error;
  });
  signal?.throwIfAborted();
  if (exit !== 0) throw new Error(`Headwater's SQLite process failed (${exit}): ${errors.trim()}`);
  return parseReply(output);
}

function parseReply(output: string): SqliteReply {
  // The other end is our own module of the same version.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return JSON.parse(output) as SqliteReply;
}
