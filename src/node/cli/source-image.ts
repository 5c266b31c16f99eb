// The bytes that a restore of a live database must give: its file with the committed frames of the WAL laid over it.
// Opens and closes the live files, so it must run in a process that has no SQLite open on them, while nobody writes.
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { HeadwaterError } from "../../core/base/errors.ts";
import {
  databaseHeaderSizeBytes,
  decodeDatabaseHeader,
} from "../../core/sqlite/database-header.ts";
import {
  decodeWalFrameHeader,
  walFrameHeaderSizeBytes,
  walFrameOffset,
} from "../../core/sqlite/wal.ts";
import { decodeWalIndex, walIndexHeaderSizeBytes } from "../../core/sqlite/wal-index.ts";

/** SHA-256 of the database at `path` as SQLite would read it now. */
export async function sourceHash(path: string): Promise<string> {
  await using database = await open(path);
  await using wal = await open(`${path}-wal`);
  await using shm = await open(`${path}-shm`);
  const { pageSize } = decodeDatabaseHeader(await readAt(database, 0, databaseHeaderSizeBytes));
  const index = decodeWalIndex(await readAt(shm, 0, walIndexHeaderSizeBytes));
  if (index === undefined) {
    throw new HeadwaterError(
      "capture/locked",
      `The wal-index of ${path} is being written. Try again.`,
    );
  }
  const offsetByPgno = new Map<number, number>();
  for (let frame = 1; frame <= index.frameCount; frame++) {
    const at = walFrameOffset(frame, pageSize);
    const { pgno } = decodeWalFrameHeader(await readAt(wal, at, walFrameHeaderSizeBytes));
    offsetByPgno.set(pgno, at + walFrameHeaderSizeBytes);
  }
  const { size } = await database.stat();
  const commit = index.commit === 0 ? size / pageSize : index.commit;
  const hash = createHash("sha256");
  for (let pgno = 1; pgno <= commit; pgno++) {
    const offset = offsetByPgno.get(pgno);
    const page =
      offset === undefined
        ? await readAt(database, (pgno - 1) * pageSize, pageSize)
        : await readAt(wal, offset, pageSize);
    hash.update(page);
  }
  return hash.digest("hex");
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  if (bytesRead === length) return bytes;
  throw new HeadwaterError(
    "capture/locked",
    "The database became shorter while it was read. Try again when nobody writes to it.",
  );
}
