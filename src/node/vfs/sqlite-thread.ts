// The thread that SQLite runs in: the entry of a Node worker.
import { parentPort } from "node:worker_threads";
import initSqlite from "@sqlite.org/sqlite-wasm";
import { must } from "../../core/base/assert.ts";
import type { ThreadMessage } from "../../core/vfs/protocol.ts";
import { SleepingThread } from "../../core/vfs/sleeping-thread.ts";
import { warmUp } from "../../core/vfs/warm-up.ts";

const port = must(parentPort, "port to the caller's thread");
const sqlite3 = await initSqlite();
warmUp(sqlite3);
const thread = new SleepingThread(sqlite3, (message) => port.postMessage(message));
port.on("message", (message: ThreadMessage) => thread.hear(message));
