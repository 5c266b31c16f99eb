// The product as its users get it: built, and started from a folder laid out like the package, so that no run pays for
// stripping types from sources.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import { delimiter } from "node:path";
import { fileURLToPath } from "node:url";
import { Child } from "../../test/support/children.ts";
import type { ChildOptions } from "../../test/support/children.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
// Inside the repository, so that it finds the dependencies.
const packageDirectory = `${root}.build/bench-package`;

/** The package's entry, for programs that import it. */
export const productEntry = `${packageDirectory}/dist/index.js`;

/** Builds the package. Call it once, first. */
export function buildProduct(): void {
  const path = `${root}node_modules/.bin${delimiter}${process.env["PATH"] ?? ""}`;
  const { status } = spawnSync(process.execPath, [`${root}scripts/build.ts`], {
    stdio: "inherit",
    env: { ...process.env, PATH: path },
  });
  if (status !== 0) throw new Error("The build failed.");
  mkdirSync(packageDirectory, { recursive: true });
  for (const name of ["bin", "dist", "package.json"]) {
    cpSync(root + name, `${packageDirectory}/${name}`, { recursive: true });
  }
}

/** Starts `headwater` with the given arguments. */
export function startHeadwater(args: readonly string[], options: ChildOptions = {}): Child {
  return new Child(process.execPath, [`${packageDirectory}/bin/headwater.js`, ...args], options);
}

/** Runs it to its end; throws with its stderr unless it exits with 0. */
export async function runHeadwater(args: readonly string[]): Promise<void> {
  await using child = startHeadwater(args);
  await child.success();
}

/** Starts `headwater replicate` and resolves when database and replica are one history. Stop it with `end("SIGTERM")`. */
export async function startReplicating(
  database: string,
  replica: string,
  flags: readonly string[] = [],
): Promise<Child> {
  const child = startHeadwater(["replicate", database, replica, ...flags]);
  await child.line((line) => line.includes("database.replicating"));
  return child;
}

/** The fields of the events named `event` that a replicator has printed, from line `from` on. */
export function loggedFields(
  child: Child,
  event: string,
  from = 0,
): readonly Readonly<Record<string, string>>[] {
  return child.lines
    .slice(from)
    .filter((line) => line.split(" ")[2] === event)
    .map((line) =>
      Object.fromEntries([...line.matchAll(/(\w+)=(\S+)/gu)].map((m) => [m[1], m[2]])),
    );
}
