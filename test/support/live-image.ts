// The exact bytes of a live database: its file with the committed frames of its WAL laid over it, as a restore must
// give them. Computed in a child process, because opening and closing a live database with `fs` drops the locks that
// SQLite has on it in the same process.
import { createHash } from "node:crypto";
import { closeSync, createReadStream, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { viewOf } from "../../src/core/base/bytes.ts";
import { startModule } from "./children.ts";

export interface LiveImage {
  readonly sha256: string;
  readonly pageSize: number;
  /** Pages. */
  readonly commit: number;
}

/**
 * The image of the database as it is now. Writers wait meanwhile; nothing is checkpointed or written. With `output`
 * the image is also stored there.
 */
export async function liveImage(path: string, output?: string): Promise<LiveImage> {
  await using child = startModule(fileURLToPath(import.meta.url), { path, output });
  const [line = ""] = await child.success();
  return JSON.parse(line) as LiveImage;
}

/** The SHA-256 of a file that is no live database, in hexadecimal. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

interface WalPages {
  /** Database size in pages, 0 if the WAL does not say. */
  readonly commit: number;
  /** Where the newest image of a page lies in the WAL. */
  readonly offsetByPgno: ReadonlyMap<number, number>;
}

/** Reads what the wal-index says is committed (https://www.sqlite.org/walformat.html, sections 2.1 and 4). */
function walPages(shm: number, wal: number, pageSize: number): WalPages {
  const index = readFully(shm, 0, 48);
  // Both words are in the machine's byte order, and every supported machine is little-endian.
  const frames = viewOf(index).getUint32(16, true);
  const commit = viewOf(index).getUint32(20, true);
  const offsetByPgno = new Map<number, number>();
  const frameSize = 24 + pageSize;
  for (let frame = 0; frame < frames; frame++) {
    const at = 32 + frame * frameSize;
    offsetByPgno.set(viewOf(readFully(wal, at, 4)).getUint32(0), at + 24);
  }
  return { commit: frames === 0 ? 0 : commit, offsetByPgno };
}

function readFully(fd: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  readSync(fd, bytes, { position });
  return bytes;
}

const chunkBytes = 1024 * 1024;

function main({ path, output }: { path: string; output?: string }): void {
  // Descriptors on the database and the wal-index stay open until the process ends: closing one drops our lock.
  const file = openSync(path, "r");
  const db = new DatabaseSync(path, { timeout: 10_000 });
  db.exec("PRAGMA wal_autocheckpoint=0; BEGIN IMMEDIATE");
  const pageSize = Number(db.prepare("PRAGMA page_size").get()?.["page_size"]);
  const isWal = db.prepare("PRAGMA journal_mode").get()?.["journal_mode"] === "wal";
  const wal = isWal ? openSync(`${path}-wal`, "r") : undefined;
  const { commit: walCommit, offsetByPgno } =
    wal === undefined
      ? { commit: 0, offsetByPgno: new Map<number, number>() }
      : walPages(openSync(`${path}-shm`, "r"), wal, pageSize);
  const commit = walCommit === 0 ? fstatSync(file).size / pageSize : walCommit;
  const hash = createHash("sha256");
  const out = output === undefined ? undefined : openSync(output, "w");
  const pagesPerChunk = Math.floor(chunkBytes / pageSize);
  for (let first = 1; first <= commit; first += pagesPerChunk) {
    const count = Math.min(pagesPerChunk, commit - first + 1);
    const chunk = readFully(file, (first - 1) * pageSize, count * pageSize);
    for (let i = 0; i < count; i++) {
      const offset = offsetByPgno.get(first + i);
      if (offset !== undefined && wal !== undefined)
        readSync(wal, chunk, { offset: i * pageSize, length: pageSize, position: offset });
    }
    hash.update(chunk);
    if (out !== undefined) writeSync(out, chunk);
  }
  if (out !== undefined) closeSync(out);
  const image: LiveImage = { sha256: hash.digest("hex"), pageSize, commit };
  console.log(JSON.stringify(image));
  // Ends without closing the database, so that a last close cannot checkpoint and delete the WAL.
  process.exit(0);
}

if (import.meta.main) main(JSON.parse(process.argv[2] ?? "{}"));
