// Probing a directory that is not there yet makes it. It goes away again, so that a URL with a mistake in it leaves nothing.
import { rmdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { platformCode } from "../../core/base/errors.ts";

/**
 * Runs `work`; afterwards the directories of a `file:` URL that were missing before are removed, as far as they are empty.
 * `onFailure` hears of one that cannot be.
 */
export async function withoutNewDirectories<T>(
  url: string,
  work: () => Promise<T>,
  onFailure: (error: unknown) => void,
): Promise<T> {
  const missing = await missingDirectories(url);
  try {
    return await work();
  } finally {
    try {
      await removeEmpty(missing);
    } catch (error) {
      onFailure(error);
    }
  }
}

/** Deepest first. */
async function missingDirectories(url: string): Promise<readonly string[]> {
  if (!/^file:/iu.test(url)) return [];
  const missing: string[] = [];
  let path = fileURLToPath(url.replace(/[?].*$/u, "")).replace(/(?<=.)\/+$/u, "");
  while (path !== dirname(path) && (await stat(path).catch(() => undefined)) === undefined) {
    missing.push(path);
    path = dirname(path);
  }
  return missing;
}

async function removeEmpty(directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    try {
      await rmdir(directory);
    } catch (error) {
      const code = platformCode(error) ?? "";
      // Somebody else uses it by now.
      if (code === "ENOTEMPTY" || code === "EEXIST") return;
      if (code !== "ENOENT") throw error;
    }
  }
}
