// A Litestream that has worked, or still works, on the same database. Left in place, its local files would be
// appended to our history by a Litestream started later; so they are set aside before we put anything.
import { basename, dirname, join } from "node:path";
import type { FileSystem } from "../../core/base/file-system.ts";
import { parseLtxName } from "../../core/ltx/file-name.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { readWhole } from "./durable-file.ts";

export interface LitestreamFile {
  readonly txid: Txid;
  readonly bytes: Uint8Array;
}

/** Litestream's local directory `.<file name>-litestream/ltx` of a database, whether it is there or not. */
function litestreamDirectoryOf(databasePath: string): string {
  return join(dirname(databasePath), `.${basename(databasePath)}-litestream`, "ltx");
}

export async function hasLitestream(
  fileSystem: FileSystem,
  databasePath: string,
): Promise<boolean> {
  return (await fileSystem.status(litestreamDirectoryOf(databasePath))) !== undefined;
}

/** Its newest level-0 files, newest first, at most `limit`. */
export async function litestreamFiles(
  fileSystem: FileSystem,
  databasePath: string,
  limit: number,
): Promise<readonly LitestreamFile[]> {
  const directory = join(litestreamDirectoryOf(databasePath), "0");
  const names = ((await fileSystem.list(directory)) ?? []).filter(
    (name) => parseLtxName(name) !== undefined,
  );
  const files: LitestreamFile[] = [];
  for (const name of names.toReversed().slice(0, limit)) {
    const txid = parseLtxName(name)?.maxTxid;
    const bytes = await readWhole(fileSystem, join(directory, name));
    if (bytes !== undefined && txid !== undefined) files.push({ txid, bytes });
  }
  return files;
}

/** Renames its `ltx` directory; a Litestream that still runs stops at that. Returns the new name. */
export async function setLitestreamAside(
  fileSystem: FileSystem,
  databasePath: string,
  suffix: string,
): Promise<string> {
  const from = litestreamDirectoryOf(databasePath);
  const to = `${from}.${suffix}`;
  await fileSystem.rename(from, to);
  await fileSystem.syncDirectory(dirname(from));
  return to;
}
