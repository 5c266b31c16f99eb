// The worker where no bundler has been: import maps do not reach into workers, so the page tells where SQLite's module lies.
import type initSqlite from "@sqlite.org/sqlite-wasm";
import { must } from "../core/base/assert.ts";
import { serveWorker } from "./serve-worker.ts";

serveWorker(async (url) => {
  const loaded: unknown = await import(/* @vite-ignore */ must(url, "address of SQLite's module"));
  return initOf(loaded)();
});

function initOf(loaded: unknown): typeof initSqlite {
  // It is the module of the package that the page's import map names.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (loaded as { readonly default: typeof initSqlite }).default;
}
