// Whether a file system has hard links: tried, because nothing else tells.
import { posix } from "node:path";
import { platformCode } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";

/** Tries in `root`, or in the nearest directory above it that exists; `nextName` gives names that nobody uses. */
export async function hasHardLinks(
  fileSystem: FileSystem,
  root: string,
  nextName: () => string,
): Promise<boolean> {
  let directory = root;
  while ((await fileSystem.status(directory))?.kind !== "directory") {
    directory = posix.dirname(directory);
  }
  const from = posix.join(directory, nextName());
  const to = posix.join(directory, nextName());
  const file = await fileSystem.open(from, "create-new").catch(() => undefined);
  // Not being allowed to write here says nothing about links.
  if (file === undefined) return true;
  try {
    await file.close();
    await fileSystem.link(from, to);
    return true;
  } catch (error) {
    return !lacksLinks(error);
  } finally {
    await fileSystem.unlink(to).catch(() => undefined);
    await fileSystem.unlink(from).catch(() => undefined);
  }
}

/** What `link` fails with where there are none (FAT, many network shares). */
export function lacksLinks(error: unknown): boolean {
  return ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(platformCode(error) ?? "");
}
