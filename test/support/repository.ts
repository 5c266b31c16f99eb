// The repository's own files, for the tests that hold it to its rules. Walks the disk, because a checkout may come
// without git.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Path of the repository, ending with a slash. */
export const repositoryRoot = fileURLToPath(new URL("../../", import.meta.url));

const notOurs = new Set([".git", "node_modules", "dist", ".build", "coverage"]);

/** Every file below `folder` (`""` or ending with a slash) relative to the root, in order; what tools made left out. */
export function repositoryFiles(folder = ""): readonly string[] {
  return readdirSync(repositoryRoot + folder, { withFileTypes: true })
    .filter(({ name }) => !notOurs.has(name))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) =>
      entry.isDirectory() ? repositoryFiles(`${folder}${entry.name}/`) : [folder + entry.name],
    );
}

/** The text of one of them. */
export function repositoryText(name: string): string {
  return readFileSync(repositoryRoot + name, "utf8");
}
