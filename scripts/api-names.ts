// Writes test/api/<entry>.txt: every name that an entry file exports. test/api.test.ts compares, so that the public
// interface changes only on purpose and in sight of the reviewer.
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";

const source = new URL("../src/", import.meta.url);
const snapshots = new URL("../test/api/", import.meta.url);

/** The package's entries: the files of src without extension. */
export async function apiEntries(): Promise<readonly string[]> {
  const names = await readdir(source);
  return names.filter((name) => name.endsWith(".ts")).map((name) => name.slice(0, -".ts".length));
}

/** The names of one entry, values first, then types, one per line. */
export async function apiNames(entry: string): Promise<string> {
  const file = new URL(`${entry}.ts`, source);
  const values = Object.keys((await import(file.href)) as object).toSorted();
  const types = typeNames(await readFile(file, "utf8")).map((name) => `type ${name}`);
  return [...values, ...types].map((line) => `${line}\n`).join("");
}

/** Types leave nothing at run time; entry files list them by name, so their text tells. */
function typeNames(text: string): readonly string[] {
  const lists = [...text.matchAll(/export (?<kind>type )?\{(?<names>[^}]*)\}/gu)].flatMap(
    ({ groups }) => {
      const names = (groups?.["names"] ?? "").split(",").map((name) => name.trim());
      return groups?.["kind"] === undefined
        ? names.filter((name) => name.startsWith("type ")).map((name) => name.slice("type ".length))
        : names.filter((name) => name !== "");
    },
  );
  return lists.map((name) => name.replace(/^.* as /u, "")).toSorted();
}

if (import.meta.main) {
  await rm(snapshots, { recursive: true, force: true });
  await mkdir(snapshots, { recursive: true });
  for (const entry of await apiEntries())
    await writeFile(new URL(`${entry}.txt`, snapshots), await apiNames(entry));
}
