// Starts the worker of a replica in a form that bundlers and browsers understand.
import type { WorkerRole } from "./worker-messages.ts";

const sqlitePackage = "@sqlite.org/sqlite-wasm";

/** Starts it and tells it its role. */
export function startReplicaWorker(): Worker {
  const sqliteUrl = mappedUrl();
  // Bundlers look for exactly this form.
  const worker =
    sqliteUrl === undefined
      ? new Worker(new URL("./bundled-worker.ts", import.meta.url), { type: "module" })
      : new Worker(new URL("./linked-worker.ts", import.meta.url), { type: "module" });
  const role: WorkerRole = { role: "replica", sqliteUrl };
  worker.postMessage(role);
  return worker;
}

/** Where the page's import map has SQLite; `undefined` where there is none, as after a bundler. */
function mappedUrl(): string | undefined {
  try {
    return import.meta.resolve(sqlitePackage);
  } catch {
    return undefined;
  }
}
