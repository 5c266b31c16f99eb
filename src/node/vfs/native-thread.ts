// The thread of `node:sqlite`: answers requests on the local copy that it was last told to open.
import { parentPort } from "node:worker_threads";
import { must } from "../../core/base/assert.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import { toSent } from "../../core/base/sent-error.ts";
import type { FailedReply, RowsReply } from "../../core/vfs/protocol.ts";
import { runNow } from "../../core/vfs/soon.ts";
import { toQueryError } from "../../core/vfs/sqlite-failure.ts";
import { Statements, nothing } from "../../core/vfs/statements.ts";
import { NativeConnection } from "./native-connection.ts";
import type { NativeRequest } from "./native-sqlite.ts";

/** SQLITE_ERROR, for what `node:sqlite` itself refuses. */
const generalError = 1;

const port = must(parentPort, "port to the caller's thread");
let connection: NativeConnection | undefined;
let statements: Statements | undefined;

port.on("message", (request: NativeRequest) => port.postMessage(answer(request), []));

function answer(request: NativeRequest): RowsReply | FailedReply {
  try {
    if (request.kind !== "open")
      return runNow(must(statements, "copy that is open").answer(request));
    connection?.[Symbol.dispose]();
    connection = undefined;
    statements = undefined;
    connection = new NativeConnection(request.path);
    statements = new Statements(connection);
    return nothing;
  } catch (error) {
    return { kind: "failed", error: toSent(toFailure(error)) };
  }
}

function toFailure(error: unknown): unknown {
  if (error instanceof HeadwaterError) return error;
  const isSqlite = error instanceof Error && "errcode" in error;
  const code = isSqlite ? Number(error.errcode) : generalError;
  return toQueryError({ code, text: messageOf(error), cause: undefined });
}
