// Whether a file system has hard links: tried, because nothing else tells.
import { posix } from "node:path";
import { platformCode } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Memo } from "./store-memory.ts";

export interface LinkProbeOptions {
  /** Names that nobody uses. */
  readonly nextName: () => string;
  /** Answers by device. */
  readonly known: Memo<boolean>;
}

/** Tries in `root`, or in the nearest directory above it that exists, unless it is known. */
export async function hasHardLinks(
  fileSystem: FileSystem,
  root: string,
  { nextName, known }: LinkProbeOptions,
): Promise<boolean> {
  let directory = root;
  for (;;) {
    const status = await fileSystem.status(directory);
    if (status?.kind === "directory") {
      return known.of(String(status.device), () => tryLink(fileSystem, directory, nextName));
    }
    directory = posix.dirname(directory);
  }
}

async function tryLink(
  fileSystem: FileSystem,
  directory: string,
  nextName: () => string,
): Promise<boolean> {
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
