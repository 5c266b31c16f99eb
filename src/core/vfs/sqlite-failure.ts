// What a result code of SQLite means to whoever has asked it something.
import { HeadwaterError } from "../base/errors.ts";
import { resultCodes } from "./sqlite-codes.ts";

export interface SqliteFailure {
  /** With its extension. */
  readonly code: number;
  /** What SQLite says. */
  readonly text: string;
  /** What the VFS has thrown, if it has. */
  readonly cause: unknown;
}

/** Codes under which SQLite passes on what the VFS has thrown. */
const vfsCodes: ReadonlySet<number> = new Set([
  resultCodes.ioError,
  resultCodes.cannotOpen,
  resultCodes.interrupt,
]);

/** The error to throw. */
export function toQueryError({ code, text, cause }: SqliteFailure): unknown {
  const primary = code & 0xff;
  if (vfsCodes.has(primary) && cause !== undefined) return cause;
  const data = { resultCode: code, sqlite: text };
  if (primary === resultCodes.readOnly) {
    return new HeadwaterError("query/read-only", "A replica cannot be written.", { data });
  }
  if (primary === resultCodes.corrupt || primary === resultCodes.notDatabase) {
    return new HeadwaterError(
      "query/corrupt",
      `SQLite finds the database damaged: ${text}. It was so at the source, or the replica is: run headwater verify.`,
      { data },
    );
  }
  return new HeadwaterError("query/sql", `SQLite refuses the statement: ${text}.`, { data });
}
