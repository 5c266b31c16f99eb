// wa-sqlite with JSPI in Node, where it does not find its own WebAssembly.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import loadModule from "@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs";

/** A new SQLite. */
export async function waSqlite(): Promise<unknown> {
  const url = import.meta.resolve("@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.wasm");
  return loadModule({ wasmBinary: await readFile(fileURLToPath(url)) });
}
