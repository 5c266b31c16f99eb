// The scrub of a database at work: every page of the source is hashed and compared with the page-checksum table, slice by
// slice. Each slice is read at the newest TXID of that moment and released again, so that neither checkpoints nor
// compactions wait long, the WAL does not grow, and memory is bounded. No lock that a writer needs is held.
import { hasCode } from "../../core/base/errors.ts";
import { lockPgno } from "../../core/base/page.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { heavyJobs } from "./heavy-jobs.ts";
import { checksumsOf } from "./image.ts";
import type { EngineParts } from "./parts.ts";
import type { Stager } from "./stager.ts";
import type { Waiting } from "./waiting.ts";

/** Read at one position: the more, the fewer batches are staged early for it, and the longer the WAL has to wait. */
const sliceBytes = 256 << 20;

/** Between two attempts at a slice that something more urgent has displaced. */
const displacedWaitMs = 1_000;
const displacedAttempts = 5;

/** Page numbers that a log line names. */
const namedPages = 16;

export interface ScrubReport {
  /** The newest TXID when the last slice was read. */
  readonly txid: Txid;
  /** Size of the database then, in pages. */
  readonly pages: number;
  /** Pages that nobody committed and that were not what was captured. They are staged as a TXID of their own. */
  readonly divergedPages: number;
}

interface Slice {
  readonly txid: Txid;
  readonly commit: number;
  readonly differing: Uint32Array;
}

/**
 * Compares all of the source with what was captured. What differs is reported, then staged as the next TXID: the replica
 * becomes equal to the source again, and the TXIDs before it keep what was captured. Throws `capture/gone` or
 * `capture/locked` while the database cannot be read.
 */
export async function scrubSource(
  parts: EngineParts,
  stager: Stager,
  waiting: Waiting,
): Promise<ScrubReport> {
  const { clock, limits } = parts;
  const differing: number[] = [];
  const perSlice = Math.max(1, Math.floor(sliceBytes / stager.capture.pageSize));
  let before: Txid | undefined;
  for (let from = 1; ; from += perSlice) {
    const range = { from, to: from + perSlice - 1 };
    const startedMs = clock.monotonicMs();
    const { txid, commit, differing: found } = await readSlice(parts, stager, range, waiting);
    for (const pgno of found) differing.push(pgno);
    if (range.to >= commit) {
      const divergedPages = await heal(parts, stager, Uint32Array.from(differing), waiting);
      return { txid, pages: commit, divergedPages };
    }
    // Half of a disk and half of a core at most, and under load no more than one upload per sync interval on top of the
    // usual one: pinning stages what is pending.
    const elapsedMs = clock.monotonicMs() - startedMs;
    await clock.sleep(
      txid === before ? elapsedMs : Math.max(elapsedMs, limits.syncIntervalMs),
      waiting,
    );
    before = txid;
  }
}

interface PageRange {
  readonly from: number;
  readonly to: number;
}

/** Waits for its turn, and again if the image had to be given up. */
async function readSlice(
  parts: EngineParts,
  stager: Stager,
  range: PageRange,
  waiting: Waiting,
): Promise<Slice> {
  for (let attempt = 1; ; attempt++) {
    try {
      await stager.quiet(waiting);
      const slice = await heavyJobs.run(() => compareSlice(parts, stager, range, waiting), waiting);
      if (slice !== undefined) return slice;
      // A full image is on its way; it reads every page, too.
      attempt = 1;
    } catch (error) {
      const isDisplaced = hasCode(error, "capture/gone", "capture/gap", "capture/locked");
      if (!isDisplaced || waiting.signal.aborted || attempt === displacedAttempts) throw error;
    }
    await parts.clock.sleep(displacedWaitMs, waiting);
  }
}

function compareSlice(
  { codec }: EngineParts,
  stager: Stager,
  { from, to }: PageRange,
  { signal }: Waiting,
): Promise<Slice | undefined> {
  return stager.readAtHead(
    {
      note: ({ txid }, table, { commit, pageSize }) => {
        const pgnos = pgnosIn({ from, to: Math.min(to, commit) }, pageSize);
        return { txid, commit, pgnos, captured: BigUint64Array.from(pgnos, (n) => table.get(n)) };
      },
      read: async (source, { txid, commit, pgnos, captured }, waiting) => {
        const sums = await checksumsOf(codec, source, pgnos, waiting);
        const differing = pgnos.filter((_, i) => sums[i] !== captured[i]);
        return { txid, commit, differing };
      },
    },
    { signal },
  );
}

/** Stages what differs, unless a commit has replaced it meanwhile, and reports it: once, because then it differs no more. */
export async function heal(
  { path, history, logger }: EngineParts,
  stager: Stager,
  pgnos: Uint32Array,
  { signal }: Waiting,
): Promise<number> {
  if (pgnos.length === 0) return 0;
  const healed = await stager.restage(pgnos, { signal });
  const { head } = history;
  logger.log("error", "verification.diverged", {
    path,
    pages: pgnos.length,
    pgnos: Array.from(pgnos.subarray(0, namedPages)),
    restagedPages: healed.length,
    txid: head && formatTxid(head.txid),
    hint:
      "pages of the database are not what was committed: something wrote to its file without SQLite, or the disk failed. " +
      "TXIDs before this one hold what was committed",
  });
  return pgnos.length;
}

/** Page numbers of a range, ascending, without the lock page. */
function pgnosIn({ from, to }: PageRange, pageSize: number): Uint32Array {
  const lock = lockPgno(pageSize);
  const pgnos = Uint32Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
  return from <= lock && lock <= to ? pgnos.filter((pgno) => pgno !== lock) : pgnos;
}
