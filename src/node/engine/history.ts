// The chain of TXIDs as this engine writes it: its head, the page-checksum table that proves the next file, and
// the staging of that file. TXIDs are numbered here and nowhere else.
import type { Clock } from "../../core/base/clock.ts";
import { assert, must } from "../../core/base/assert.ts";
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import { PageChecksums } from "../../core/ltx/page-checksums.ts";
import { formatTxid, nextTxid, toTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { CapturedBatch, CapturePosition, PageSource } from "../capture/capture-types.ts";
import { allPgnos, checksumsOf, encodeFrom } from "./image.ts";
import type { StagedFile, Staging } from "./staging.ts";
import type { Waiting } from "./waiting.ts";

/** Bit 63 is set in every stored checksum; XOR works on the rest. */
const checksumFlag = 1n << 63n;
const checksumBits = checksumFlag - 1n;

/** The fields of a level-0 header that make a Litestream started later take a full image (docs/decisions/004). */
export function levelZeroFields(
  nodeId: bigint,
): Pick<LtxHeader, "nodeId" | "walOffset" | "walSize" | "walSalt1" | "walSalt2"> {
  return { nodeId, walOffset: 32n, walSize: 0n, walSalt1: 0, walSalt2: 0 };
}

const diskFullWaitMs = 1_000;

export interface HistoryHead {
  readonly txid: Txid;
  /** Database checksum after it, 0 = unknown. */
  readonly after: bigint;
  readonly timestampMs: number;
}

export interface HistoryOptions {
  readonly codec: Codec;
  readonly staging: Staging;
  readonly nodeId: bigint;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class History {
  readonly #options: HistoryOptions;
  #head: HistoryHead | undefined;
  #table: PageChecksums | undefined;
  #isDiskFull = false;
  #makeRoom: () => Promise<void> = async () => undefined;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** Called while staging waits for space: frees what only makes the next start quicker. */
  whenFull(makeRoom: () => Promise<void>): void {
    this.#makeRoom = makeRoom;
  }

  get head(): HistoryHead | undefined {
    return this.#head;
  }

  /** Checksums of every page as of the head, if they are known. */
  get table(): PageChecksums | undefined {
    return this.#table;
  }

  /** True while a TXID waits for space in the state directory. */
  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  /** Continues after `head`; `table` must describe its pages exactly. */
  continueAfter(head: HistoryHead | undefined, table: PageChecksums | undefined): void {
    assert(
      table === undefined || (head !== undefined && head.after === table.databaseChecksum),
      "a page-checksum table that is not the head's",
    );
    this.#head = head;
    this.#table = table;
  }

  /**
   * Stages a batch. Throws `capture/gap` if it does not continue the newest staged file: then something was captured and
   * given up unstaged (an abort, a failed write), and only a comparison finds it again.
   */
  async stageBatch(batch: CapturedBatch, waiting: Waiting): Promise<StagedFile> {
    const { staging } = this.#options;
    if (!isSamePosition(batch.start, staging.newestPosition)) {
      throw new HeadwaterError(
        "capture/gap",
        "What was captured before had not been staged. Headwater compares the whole database next.",
      );
    }
    // Not aborted half-way: what a batch gives up has to be found again by reading everything.
    const sums = await checksumsOf(this.#options.codec, batch, batch.pgnos);
    return this.#stageSummed(batch, batch.pgnos, sums, waiting);
  }

  /** Stages pages of `source` that turn the head into the state at the source's position. */
  async stageChanges(
    source: PageSource,
    pgnos: Uint32Array,
    waiting: Waiting,
  ): Promise<StagedFile> {
    const sums = await checksumsOf(this.#options.codec, source, pgnos, waiting);
    return this.#stageSummed(source, pgnos, sums, waiting);
  }

  /**
   * Stages one file that changes nothing and ends at `txid`, because a replica has numbers that we have not; `source` is
   * at the head. The newest staged file then is a wide one: a single one has to follow at once.
   */
  async stageSkip(source: PageSource, txid: Txid, waiting: Waiting): Promise<StagedFile> {
    const pgnos = Uint32Array.of(1);
    const sums = await checksumsOf(this.#options.codec, source, pgnos, waiting);
    return this.#stageSummed(source, pgnos, sums, { ...waiting, txid });
  }

  async #stageSummed(
    source: PageSource,
    pgnos: Uint32Array,
    sums: BigUint64Array,
    { txid, signal }: Waiting & { readonly txid?: Txid },
  ): Promise<StagedFile> {
    const table = must(this.#table, "the page-checksum table");
    const head = must(this.#head, "the head");
    const after = checksumAfter(table, pgnos, sums, source.commit);
    const minTxid = nextTxid(head.txid);
    const range = { minTxid, maxTxid: txid ?? minTxid };
    const header = this.#header(source, range, { before: head.after, after });
    const file = await this.#stage(header, source, pgnos, sums, { signal });
    applyChanges(table, pgnos, sums, source.commit);
    assert(table.databaseChecksum === after, "the staged proof is not the table's checksum");
    this.#head = { txid: header.maxTxid, after, timestampMs: header.timestampMs };
    return file;
  }

  /** Stages every page of `source` as the next TXID; needs no table and makes one. */
  async stageImage(source: PageSource, waiting: Waiting): Promise<StagedFile> {
    const pgnos = allPgnos(source.commit, source.pageSize);
    const sums = await checksumsOf(this.#options.codec, source, pgnos, waiting);
    const table = new PageChecksums(source.pageSize);
    applyChanges(table, pgnos, sums, source.commit);
    const after = table.databaseChecksum;
    const txid = this.#head === undefined ? toTxid(1) : nextTxid(this.#head.txid);
    const before = this.#head?.after ?? checksumFlag;
    const range = { minTxid: txid, maxTxid: txid };
    const header = this.#header(source, range, { before, after });
    const file = await this.#stage(header, source, pgnos, sums, waiting);
    this.continueAfter({ txid, after, timestampMs: header.timestampMs }, table);
    return file;
  }

  /** Header of a snapshot `1-txid` of what the head says, to be put at level 9. */
  snapshotHeader(source: PageSource, { txid, after, timestampMs }: HistoryHead): LtxHeader {
    const range = { minTxid: toTxid(1), maxTxid: txid };
    return { ...this.#header(source, range, { before: checksumFlag, after }), timestampMs };
  }

  /** Header of a full image that leads a replica from `base` to what the head says. */
  bridgeHeader(source: PageSource, base: HistoryHead, head: HistoryHead): LtxHeader {
    const range = { minTxid: nextTxid(base.txid), maxTxid: head.txid };
    const proof = { before: base.after, after: head.after };
    return { ...this.#header(source, range, proof), timestampMs: head.timestampMs };
  }

  /** Milliseconds for the next file: now, but always later than the head. */
  nextTimestampMs(): number {
    const now = this.#options.clock.nowMs();
    return this.#head === undefined ? now : Math.max(now, this.#head.timestampMs + 1);
  }

  #header(
    source: PageSource,
    range: { readonly minTxid: Txid; readonly maxTxid: Txid },
    proof: { readonly before: bigint; readonly after: bigint },
  ): LtxHeader {
    return {
      pageSize: source.pageSize,
      commit: source.commit,
      ...range,
      timestampMs: this.nextTimestampMs(),
      noChecksum: true,
      preApplyChecksum: 0n,
      ...levelZeroFields(this.#options.nodeId),
      proof,
    };
  }

  async #stage(
    header: LtxHeader,
    source: PageSource,
    pgnos: Uint32Array,
    sums: BigUint64Array,
    { signal }: Waiting,
  ): Promise<StagedFile> {
    const { codec, staging, clock, logger } = this.#options;
    const pagesChecksum = sums.reduce((sum, one) => sum ^ one, 0n) | checksumFlag;
    for (;;) {
      try {
        const chunks = encodeFrom(codec, header, source, { pgnos, pagesChecksum });
        const file = await staging.stage({
          minTxid: header.minTxid,
          txid: header.maxTxid,
          header,
          position: source.position,
          chunks,
        });
        if (this.#isDiskFull)
          logger.log("info", "disk.space-returned", { txid: formatTxid(header.maxTxid) });
        this.#isDiskFull = false;
        return file;
      } catch (error) {
        if (platformCode(error) === "ENOENT") throw vanished(error);
        if (!isDiskFull(error)) throw error;
        if (!this.#isDiskFull)
          logger.log("error", "disk.full", { staging: formatTxid(header.maxTxid) });
        this.#isDiskFull = true;
        if (signal.aborted) throw diskFull(error);
        await this.#makeRoom();
        await clock.sleep(diskFullWaitMs, { signal }).catch(() => {
          throw diskFull(error);
        });
      }
    }
  }
}

function isSamePosition(one: CapturePosition, other: CapturePosition | undefined): boolean {
  return (
    one.salt1 === other?.salt1 &&
    one.salt2 === other.salt2 &&
    one.frame === other.frame &&
    one.checksum1 === other.checksum1 &&
    one.checksum2 === other.checksum2
  );
}

function diskFull(cause: unknown): HeadwaterError {
  return new HeadwaterError(
    "engine/disk-full",
    "The state directory has no space left for the last transactions. They stay in the WAL: free space and start " +
      "again; nothing is lost.",
    { cause },
  );
}

function vanished(error: unknown): HeadwaterError {
  return new HeadwaterError(
    "engine/state",
    `The state directory was removed while Headwater worked in it: ${messageOf(error)}. Start again: the next start ` +
      "compares the database with its replica, and nothing committed is lost.",
    { cause: error },
  );
}

/** True for the platform's errors that mean no space or no quota. */
export function isDiskFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(platformCode(error) ?? "");
}

/** The database checksum after the pages are applied, without changing the table. */
function checksumAfter(
  table: PageChecksums,
  pgnos: Uint32Array,
  sums: BigUint64Array,
  commit: number,
): bigint {
  let checksum = table.databaseChecksum & checksumBits;
  for (let i = 0; i < pgnos.length; i++) {
    const pgno = pgnos[i] ?? 0;
    const old = pgno <= table.commit ? table.get(pgno) : 0n;
    checksum ^= (old ^ (sums[i] ?? 0n)) & checksumBits;
  }
  for (let pgno = commit + 1; pgno <= table.commit; pgno++)
    checksum ^= table.get(pgno) & checksumBits;
  return checksum | checksumFlag;
}

function applyChanges(
  table: PageChecksums,
  pgnos: Uint32Array,
  sums: BigUint64Array,
  commit: number,
): void {
  table.setMany(pgnos, 0, pgnos.length, sums);
  table.truncate(commit);
}
