// The page checksums of a database as the files of a chain are applied to it, one after the other. Restore and verify
// compare its database checksum with what each file's proof claims (docs/formats/ltx.md, "Proof").
import { assert } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import { lockPgno } from "../base/page.ts";
import type { Codec } from "../codec/codec.ts";
import type { PageBatch } from "../ltx/decoder.ts";
import type { LtxHeader } from "../ltx/header.ts";
import { PageChecksums, checksumPages } from "../ltx/page-checksums.ts";
import type { ReplicaFile } from "./catalog.ts";

/** Checksums of every page of the database at one TXID. */
export class ChainState {
  readonly pageSize: number;
  #txid = 0n;
  #commitBefore = 0;
  #checksums: PageChecksums;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
    this.#checksums = new PageChecksums(pageSize);
  }

  /** The state of a database whose page checksums are known. The table is taken over. */
  static at(txid: bigint, checksums: PageChecksums): ChainState {
    const state = new ChainState(checksums.pageSize);
    state.#txid = txid;
    state.#checksums = checksums;
    return state;
  }

  /** The TXID the state stands at; 0n before the first file. */
  get txid(): bigint {
    return this.#txid;
  }

  /** Size in pages. */
  get commit(): number {
    return this.#checksums.commit;
  }

  get databaseChecksum(): bigint {
    return this.#checksums.databaseChecksum;
  }

  /** The table itself. It goes with the state. */
  get checksums(): PageChecksums {
    return this.#checksums;
  }

  /** Checksum of one page; 0n for the lock page and beyond the end. */
  pageChecksum(pgno: number): bigint {
    return this.#checksums.get(pgno);
  }

  /** A copy that goes its own way. */
  clone(): ChainState {
    const copy = new ChainState(this.pageSize);
    copy.#txid = this.#txid;
    copy.#checksums = this.#checksums.clone();
    return copy;
  }

  /** Starts a file: pages beyond its `commit` are dropped, as SQLite has dropped them. */
  begin({ minTxid, commit }: LtxHeader): void {
    if (minTxid === 1n) this.#checksums = new PageChecksums(this.pageSize);
    if (commit < this.#checksums.commit) this.#checksums.truncate(commit);
    this.#commitBefore = this.#checksums.commit;
  }

  /** Takes over pages of the file that was begun. */
  apply({ pgnos, count, checksums }: PageBatch): void {
    this.#checksums.setMany(pgnos, 0, count, checksums);
  }

  /** Ends a file. Pages that the database grew by and the file does not hold are zeros. */
  end(codec: Codec, { commit, minTxid, maxTxid }: LtxHeader): void {
    if (commit > this.#checksums.commit) this.#checksums.truncate(commit);
    this.#txid = maxTxid;
    // The decoder has seen to it that a full image has all pages.
    if (minTxid === 1n) return;
    const lock = lockPgno(this.pageSize);
    const zeros = new Uint8Array(this.pageSize);
    const checksum = new BigUint64Array(1);
    for (let pgno = this.#commitBefore + 1; pgno <= commit; pgno++) {
      if (pgno === lock || this.#checksums.get(pgno) !== 0n) continue;
      checksumPages(codec, this.pageSize, Uint32Array.of(pgno), 0, 1, zeros, checksum);
      this.#checksums.set(pgno, checksum[0] ?? 0n);
    }
  }
}

/**
 * Throws `replica/foreign-file` if the header is not that of the file its name promises, or of another page size than
 * the chain's (`undefined` = no chain yet).
 */
export function checkFileIdentity(
  file: ReplicaFile,
  header: Pick<LtxHeader, "pageSize" | "minTxid" | "maxTxid">,
  pageSize: number | undefined,
): void {
  const isNamed = header.minTxid === file.minTxid && header.maxTxid === file.maxTxid;
  if (isNamed && (pageSize === undefined || pageSize === header.pageSize)) return;
  const problem = isNamed
    ? `has pages of ${header.pageSize} bytes, the files before it of ${pageSize}`
    : `holds TXID ${header.minTxid} to ${header.maxTxid}, which is not what its name says`;
  throw new HeadwaterError(
    "replica/foreign-file",
    `${file.key} ${problem}: it belongs to another database or was renamed. ` +
      "Move it away, or restore a TXID that does not need it.",
    { data: { key: file.key, pageSize: header.pageSize, expectedPageSize: pageSize } },
  );
}

/** True unless the header claims another database before it than `state`. Unknown claims, and overlaps, cannot be checked. */
export function startsAt({ proof, minTxid }: LtxHeader, state: ChainState): boolean {
  const canCheck = proof !== undefined && proof.before !== 0n && state.txid + 1n === minTxid;
  return !canCheck || proof.before === state.databaseChecksum;
}

/** Whether the header proves that the state after it is the one captured. */
export function proves({ proof, maxTxid }: LtxHeader, state: ChainState): "yes" | "no" | "unknown" {
  assert(state.txid === maxTxid, "a proof is compared with another TXID");
  if (proof === undefined || proof.after === 0n) return "unknown";
  return proof.after === state.databaseChecksum ? "yes" : "no";
}
