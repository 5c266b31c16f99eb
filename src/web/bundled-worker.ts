// The worker where a bundler, or a server that acts as one, resolves SQLite's module.
import initSqlite from "@sqlite.org/sqlite-wasm";
import { serveWorker } from "./serve-worker.ts";

serveWorker(() => initSqlite());
