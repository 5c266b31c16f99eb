// What capture takes from the engine and gives to it. Evidence for every rule: docs/capture.md.
import type { Clock } from "../../core/base/clock.ts";
import type { Logger } from "../../core/base/log.ts";
import type { RestFacts } from "./rest.ts";

export interface OpenCaptureOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
  /** Where an earlier run stopped. Capture goes on from there if the WAL still continues exactly. */
  readonly resumeAt?: CapturePosition | undefined;
  /** When the database file alone held all that an earlier run captured. If it is still that file, the whole WAL is new. */
  readonly atRest?: RestFacts | undefined;
}

/** The place in the WAL up to which everything has been captured. All numbers are u32. */
export interface CapturePosition {
  readonly salt1: number;
  readonly salt2: number;
  /** Last captured frame, counted from 1; 0 = none of this generation. */
  readonly frame: number;
  /** The running WAL checksum stored in that frame. */
  readonly checksum1: number;
  readonly checksum2: number;
}

/** Pages by number at one fixed position. Valid until released; checkpoints wait or refuse meanwhile. */
export interface PageSource {
  readonly pageSize: number;
  /** Database size in pages. */
  readonly commit: number;
  readonly position: CapturePosition;
  /**
   * Reads the pages `pgnos[from .. from+count)` as SQLite sees them into `into` (count * pageSize bytes).
   * The lock page must not be asked for. Throws `capture/gap` if the source changed underneath.
   */
  readPages(pgnos: Uint32Array, from: number, count: number, into: Uint8Array): void;
  release(): void;
}

/** All transactions committed since the last batch, reduced to the last image of each page. */
export interface CapturedBatch extends PageSource {
  /** Where the batch before ended, or the image, or the resumed position: the batch turns exactly that state into its own. */
  readonly start: CapturePosition;
  /** Pages of the batch, ascending, no lock page, none above `commit`. Growth that SQLite did not write is included. */
  readonly pgnos: Uint32Array;
  /** Commits in it. */
  readonly transactions: number;
}

export interface PendingSummary {
  readonly transactions: number;
  readonly pageCount: number;
  /** True when more may be committed: beyond the limit given to `capture`, or because the wal-index is torn just now. */
  readonly more: boolean;
}

export interface CaptureOptions {
  /**
   * WAL bytes that may be pending: capture stops at the first commit at or past them. Default: no limit.
   */
  readonly maxBytes?: number | undefined;
}

export interface CheckpointOptions {
  /** `truncate` also empties the WAL file, if the checkpoint was complete and nobody committed since. */
  readonly mode: "passive" | "truncate";
  /**
   * Stages what is pending (capture, take a batch, encode, release) unless that is little: a few MiB may stay. Called
   * before each round, while no lock is held that could stop a writer.
   */
  readonly drain: () => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

export interface CheckpointOutcome {
  /** What was done in the end. */
  readonly mode: "passive" | "truncate";
  /** Frames in the WAL and frames in the database file afterwards. */
  readonly walFrames: number;
  readonly backfilledFrames: number;
  /** The next writer starts the WAL anew. */
  readonly complete: boolean;
  /** How long writers were kept out; 0 if the write lock was not taken. */
  readonly writeLockMs: number;
}

/** `same`, or what happened to the file at the path. */
export type FileIdentity = "same" | "missing" | "replaced" | "truncated";
