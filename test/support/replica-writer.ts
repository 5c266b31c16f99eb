// Replicas made from database images with our own encoder, for readers to be tried on.
import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { bytesEqual } from "../../src/core/base/bytes.ts";
import { lockPgno } from "../../src/core/base/page.ts";
import type { Codec } from "../../src/core/codec/codec.ts";
import type { PageSource } from "../../src/core/ltx/encoder.ts";
import { encodeLtx } from "../../src/core/ltx/encoder.ts";
import { formatLtxName } from "../../src/core/ltx/file-name.ts";
import { PageChecksums, checksumPages } from "../../src/core/ltx/page-checksums.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";
import { ltxHeader } from "./ltx.ts";
import { temporaryDirectory } from "./temporary.ts";

/** States of one database, each the bytes of its file: new, grown, shrunk by VACUUM, grown again. */
export async function databaseStates(pageSize: number): Promise<readonly Uint8Array[]> {
  const steps = [
    "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT, body BLOB); CREATE INDEX by_text ON t(text)",
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
     INSERT INTO t SELECT i, 'row ' || i, randomblob(i % 300) FROM n;
     INSERT INTO t VALUES(9000, 'long', randomblob(100000))`,
    "DELETE FROM t WHERE id % 7 <> 0; VACUUM",
    "INSERT INTO t SELECT id + 10000, text, randomblob(500) FROM t",
  ];
  using directory = temporaryDirectory();
  const path = directory.file("states.db");
  const states: Uint8Array[] = [];
  for (const step of steps) {
    const db = new DatabaseSync(path);
    db.exec(`PRAGMA page_size=${pageSize}; ${step}`);
    db.close();
    states.push(await readFile(path));
  }
  return states;
}

export interface ReplicaWriterOptions {
  readonly codec: Codec;
  readonly pageSize: number;
}

/** Writes one level-0 file per state below `directory`: TXID 1 whole, each other the pages that changed. */
export async function writeReplica(
  directory: string,
  states: readonly Uint8Array[],
  { codec, pageSize }: ReplicaWriterOptions,
): Promise<void> {
  const folder = join(directory, "ltx", "0");
  await mkdir(folder, { recursive: true });
  let before: Uint8Array = new Uint8Array(0);
  for (const [index, state] of states.entries()) {
    const txid = toTxid(index + 1);
    const timestampMs = Date.now() - (states.length - index) * 1000;
    const commit = state.length / pageSize;
    const proof = {
      before: databaseChecksum(codec, pageSize, before),
      after: databaseChecksum(codec, pageSize, state),
    };
    const header = ltxHeader({
      pageSize,
      commit,
      minTxid: txid,
      maxTxid: txid,
      timestampMs,
      proof,
    });
    const pgnos = changedPages(pageSize, before, state);
    const path = join(folder, formatLtxName(txid, txid));
    const readPages = pagesFrom(state, pageSize);
    const chunks = encodeLtx(codec, header, pgnos, readPages);
    await writeFile(path, chunks);
    await utimes(path, timestampMs / 1000, timestampMs / 1000);
    before = state;
  }
}

function pageOf(image: Uint8Array, pgno: number, pageSize: number): Uint8Array {
  return image.subarray((pgno - 1) * pageSize, pgno * pageSize);
}

/** Pages of `after` that `before` has not or has otherwise, without the lock page. */
function changedPages(pageSize: number, before: Uint8Array, after: Uint8Array): Uint32Array {
  const pgnos: number[] = [];
  for (let pgno = 1; pgno * pageSize <= after.length; pgno++) {
    if (pgno === lockPgno(pageSize)) continue;
    if (!bytesEqual(pageOf(before, pgno, pageSize), pageOf(after, pgno, pageSize)))
      pgnos.push(pgno);
  }
  return Uint32Array.from(pgnos);
}

function pagesFrom(image: Uint8Array, pageSize: number): PageSource {
  return (pgnos, from, count, into) => {
    for (let i = 0; i < count; i++)
      into.set(pageOf(image, pgnos[from + i] ?? 0, pageSize), i * pageSize);
  };
}

function databaseChecksum(codec: Codec, pageSize: number, image: Uint8Array): bigint {
  const table = new PageChecksums(pageSize);
  const pgnos = changedPages(pageSize, new Uint8Array(0), image);
  const readPages = pagesFrom(image, pageSize);
  const batch = 256;
  for (let from = 0; from < pgnos.length; from += batch) {
    const count = Math.min(batch, pgnos.length - from);
    const pages = new Uint8Array(count * pageSize);
    const checksums = new BigUint64Array(count);
    void readPages(pgnos, from, count, pages);
    checksumPages(codec, pageSize, pgnos, from, count, pages, checksums);
    table.setMany(pgnos, from, count, checksums);
  }
  return table.databaseChecksum;
}
