// Replicas as Headwater writes them, made from a history of random pages: every TXID's exact bytes are known.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Codec, openCodec } from "../../src/core/codec/codec.ts";
import { lockPgno } from "../../src/core/base/page.ts";
import type { LtxHeader } from "../../src/core/ltx/header.ts";
import { PageChecksums, checksumPages } from "../../src/core/ltx/page-checksums.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";
import { litestreamLayout } from "../../src/core/replica/layout.ts";
import { encodeWhole, ltxHeader } from "./ltx.ts";

/** One TXID: pages it writes, by page number, and the size it leaves. */
export interface Transaction {
  readonly commit: number;
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

export interface FileRange {
  readonly level: number;
  readonly min: number;
  readonly max: number;
}

/**
 * A page of noise from `seed`. Pages of one repeated byte will not do: CRC is linear, so the XOR of their checksums, the
 * database checksum, can be equal by the arithmetic of the seeds.
 */
export function pageOf(pageSize: number, seed: number): Uint8Array {
  const words = new Uint32Array(pageSize / 4);
  let state = (seed + 1) * 2_654_435_761;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer);
}

/** A history of which any range can be written as a file of any level. TXID n is `transactions[n - 1]`. */
export class ReplicaHistory {
  readonly pageSize: number;
  readonly codec: Codec = openCodec();
  readonly #transactions: readonly Transaction[];

  constructor(pageSize: number, transactions: readonly Transaction[]) {
    this.pageSize = pageSize;
    this.#transactions = transactions;
  }

  /** Pages of the database at a TXID. */
  pagesAt(txid: number): ReadonlyMap<number, Uint8Array> {
    const pages = new Map<number, Uint8Array>();
    for (const { commit, pages: written } of this.#transactions.slice(0, txid)) {
      for (const pgno of pages.keys()) if (pgno > commit) pages.delete(pgno);
      for (const [pgno, page] of written) pages.set(pgno, page);
    }
    return pages;
  }

  commitAt(txid: number): number {
    return this.#transactions[txid - 1]?.commit ?? 0;
  }

  /** The bytes of the database at a TXID. */
  databaseAt(txid: number): Uint8Array {
    const bytes = new Uint8Array(this.commitAt(txid) * this.pageSize);
    for (const [pgno, page] of this.pagesAt(txid)) bytes.set(page, (pgno - 1) * this.pageSize);
    return bytes;
  }

  /** The database checksum at a TXID. */
  checksumAt(txid: number): bigint {
    const table = new PageChecksums(this.pageSize);
    const checksum = new BigUint64Array(1);
    for (const [pgno, page] of this.pagesAt(txid)) {
      checksumPages(this.codec, this.pageSize, Uint32Array.of(pgno), 0, 1, page, checksum);
      table.set(pgno, checksum[0] ?? 0n);
    }
    return table.databaseChecksum;
  }

  /** The file of a range, with its proof. `changes` replace header fields, `swap` replaces pages under a right CRC. */
  async fileOf(
    { min, max }: Omit<FileRange, "level">,
    changes: Partial<LtxHeader> = {},
    swap: ReadonlyMap<number, Uint8Array> = new Map(),
  ): Promise<Uint8Array> {
    const written = this.#transactions
      .slice(min - 1, max)
      .flatMap(({ pages }) => [...pages.keys()]);
    const final = this.pagesAt(max);
    const pgnos = (min === 1 ? [...final.keys()] : [...new Set(written)])
      .filter((pgno) => final.has(pgno) && pgno !== lockPgno(this.pageSize))
      .toSorted((a, b) => a - b);
    const pages = new Map(
      pgnos.map((pgno) => [pgno, swap.get(pgno) ?? final.get(pgno) ?? new Uint8Array(0)]),
    );
    const header = ltxHeader({
      pageSize: this.pageSize,
      commit: this.commitAt(max),
      minTxid: toTxid(min),
      maxTxid: toTxid(max),
      timestampMs: 1_700_000_000_000 + max * 1000,
      proof: { before: this.checksumAt(min - 1), after: this.checksumAt(max) },
      ...changes,
    });
    return encodeWhole(this.codec, header, pages);
  }

  /** Writes one level-0 file per TXID, as capture does. */
  async writeLevel0(directory: string): Promise<void> {
    const ranges = this.#transactions.map((_, i) => ({ level: 0, min: i + 1, max: i + 1 }));
    await this.writeFiles(directory, ranges);
  }

  /** Writes files into a `file://` replica at `directory`. */
  async writeFiles(directory: string, ranges: readonly FileRange[]): Promise<void> {
    for (const range of ranges) writeLtx(directory, range, await this.fileOf(range));
  }
}

/** Path of a file in a `file://` replica. */
export function ltxPath(directory: string, { level, min, max }: FileRange): string {
  const file = { level, minTxid: toTxid(min), maxTxid: toTxid(max) };
  return join(directory, litestreamLayout.key(file));
}

/** Puts bytes in the place of a file. */
export function writeLtx(directory: string, range: FileRange, bytes: Uint8Array): void {
  const path = ltxPath(directory, range);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

/** Ten transactions: growth, overwrites, a shrink to a third, growth again. */
export function sampleHistory(pageSize = 4096): ReplicaHistory {
  const commits = [9, 9, 12, 12, 4, 4, 7, 7, 7, 8];
  let seed = 1;
  let previous = 0;
  const transactions = commits.map((commit) => {
    const pages = new Map<number, Uint8Array>();
    for (let pgno = 1; pgno <= commit; pgno++) {
      if (pgno === 1 || pgno > previous || (pgno * 7 + seed) % 3 === 0) {
        pages.set(pgno, pageOf(pageSize, seed++));
      }
    }
    previous = commit;
    return { commit, pages };
  });
  return new ReplicaHistory(pageSize, transactions);
}
