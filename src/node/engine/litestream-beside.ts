// A Litestream that has worked, or still works, on the same database. Left in place, its local files would be
// appended to our history by a Litestream started later; so they are set aside before we put anything.
import { basename, dirname, join } from "node:path";
import type { FileSystem } from "../../core/base/file-system.ts";
import { parseLtxName } from "../../core/ltx/file-name.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { readWhole } from "./durable-file.ts";
import type { EngineParts } from "./parts.ts";

export interface LitestreamFile {
  readonly txid: Txid;
  readonly bytes: Uint8Array;
}

/** Litestream's state directory of a database where no `meta-path` says otherwise, whether it is there or not. */
export function litestreamStateOf(databasePath: string): string {
  return join(dirname(databasePath), `.${basename(databasePath)}-litestream`);
}

export async function hasLitestream({
  fileSystem,
  litestreamDirectory,
}: Pick<EngineParts, "fileSystem" | "litestreamDirectory">): Promise<boolean> {
  return (await fileSystem.status(litestreamDirectory)) !== undefined;
}

/** Its newest level-0 files, newest first, at most `limit`. */
export async function litestreamFiles(
  fileSystem: FileSystem,
  directory: string,
  limit: number,
): Promise<readonly LitestreamFile[]> {
  const level0 = join(directory, "0");
  const names = ((await fileSystem.list(level0)) ?? []).filter(
    (name) => parseLtxName(name) !== undefined,
  );
  const files: LitestreamFile[] = [];
  for (const name of names.toReversed().slice(0, limit)) {
    const txid = parseLtxName(name)?.maxTxid;
    const bytes = await readWhole(fileSystem, join(level0, name));
    if (bytes !== undefined && txid !== undefined) files.push({ txid, bytes });
  }
  return files;
}

/** Renames the directory; a Litestream that still runs stops at that. Returns the new name. */
export async function setLitestreamAside(
  fileSystem: FileSystem,
  directory: string,
  suffix: string,
): Promise<string> {
  const to = `${directory}.${suffix}`;
  await fileSystem.rename(directory, to);
  await fileSystem.syncDirectory(dirname(directory));
  return to;
}
