// The process behind `sqlite-process.ts`: one request as its argument, one reply on its standard output.
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

export type SqliteRequest =
  | { readonly task: "check"; readonly path: string; readonly kind: "quick" | "full" }
  | { readonly task: "fold"; readonly path: string };

export type SqliteReply =
  | { readonly kind: "rows"; readonly rows: readonly string[] }
  | { readonly kind: "done" }
  | {
      readonly kind: "failed";
      readonly message: string;
      readonly isBusy: boolean;
      /** It is no database, or a corrupt one; not merely a disk that is full or refuses. */
      readonly isUnreadable: boolean;
    };

/** SQLITE_BUSY and SQLITE_LOCKED, in the low byte of an extended result code. */
const busyCodes: ReadonlySet<number> = new Set([5, 6]);

/** SQLITE_CORRUPT and SQLITE_NOTADB. */
const unreadableCodes: ReadonlySet<number> = new Set([11, 26]);

/** More rows than any reader wants, and a bound. SQLite's own default is 100. */
const rowLimit = 1000;

function answer(request: SqliteRequest): SqliteReply {
  switch (request.task) {
    case "check":
      return check(request.path, request.kind);
    case "fold":
      return fold(request.path);
    default:
      throw new Error("Headwater bug: unknown request");
  }
}

/** `immutable`: nobody else knows the file, and SQLite then makes no -wal or -shm beside it. */
function check(path: string, kind: "quick" | "full"): SqliteReply {
  const url = pathToFileURL(path);
  url.searchParams.set("immutable", "1");
  const database = new DatabaseSync(url, { readOnly: true });
  try {
    const pragma = kind === "quick" ? "quick_check" : "integrity_check";
    const rows = database.prepare(`PRAGMA ${pragma}(${rowLimit})`).all();
    return { kind: "rows", rows: rows.map((row) => String(row[pragma])) };
  } finally {
    database.close();
  }
}

/** Exclusive, so that nobody can be in the middle of using it; on closing, SQLite then removes WAL and wal-index. */
function fold(path: string): SqliteReply {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return { kind: "done" };
  } finally {
    database.close();
  }
}

function failure(error: unknown): SqliteReply {
  const code = error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : 0;
  const message = error instanceof Error ? error.message : String(error);
  return {
    kind: "failed",
    message,
    isBusy: busyCodes.has(code),
    isUnreadable: unreadableCodes.has(code),
  };
}

function parseRequest(text: string): SqliteRequest {
  // `sqlite-process.ts` of the same version wrote it.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return JSON.parse(text) as SqliteRequest;
}

let reply: SqliteReply;
try {
  reply = answer(parseRequest(process.argv[2] ?? "{}"));
} catch (error) {
  reply = failure(error);
}
process.stdout.write(JSON.stringify(reply));
