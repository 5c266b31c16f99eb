// Carries staged files to the replica, oldest first, one at a time: a chain in a replica never has a hole.
import { mergeLtx } from "../../core/ltx/merge.ts";
import { levelZeroFields } from "./history.ts";
import type { StagedFile } from "./staging.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import { backoffMs } from "../../core/base/async.ts";
import type { EngineParts } from "./parts.ts";
import { must } from "../../core/base/assert.ts";
import type { Waiting } from "./waiting.ts";

/** Retries never end by themselves, except in a single pass. */
const backoff = { firstMs: 250, maxMs: 300_000 };
const onceAttempts = 6;

/** Neighbours merged into one wide file at a time: each is open meanwhile. */
const filesPerMerge = 64;

/** What a wide file, the look at level 0 before it, and the newest file cost together. */
const requestsWhenMerged = 3;

/**
 * `more`: so many files were put that staging should be tidied. `settle`: the replica is not what we left; list it.
 * `damaged`: a staged file is not what was staged; what is committed has to be captured anew.
 */
export type DrainOutcome = "done" | "more" | "settle" | "damaged";

const filesPerDrain = 64;

export class Uploader {
  readonly #parts: EngineParts;
  readonly #onAcked: () => void;
  #failingSinceMs: number | undefined;
  #lastError: string | undefined;
  #uploadedAtMs: number | undefined;
  #hurry: () => void = () => undefined;

  /** `onAcked` is called after each object that the replica has acknowledged. */
  constructor(parts: EngineParts, onAcked: () => void) {
    this.#parts = parts;
    this.#onAcked = onAcked;
  }

  /** Every TXID up to it is in the replica as a level-0 file, or contained in one there; 0 = none. */
  get ackedThrough(): bigint {
    const { record } = this.#parts.link;
    if (record === undefined) return 0n;
    return record.level === 0 ? record.maxTxid : record.maxTxid - 1n;
  }

  /** Something is staged that the replica has not. */
  get isWaiting(): boolean {
    return this.#parts.staging.snapshot !== undefined || this.#waiting.length > 0;
  }

  get #waiting(): readonly StagedFile[] {
    return this.#parts.staging.files.filter((file) => file.txid > this.ackedThrough);
  }

  get failingSinceMs(): number | undefined {
    return this.#failingSinceMs;
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** Wall-clock time of the last upload of this process. */
  get uploadedAtMs(): number | undefined {
    return this.#uploadedAtMs;
  }

  /** Somebody waits: a pause between attempts ends now. */
  hurry(): void {
    this.#hurry();
  }

  #hurried(): Promise<void> {
    return new Promise((resolve) => {
      this.#hurry = resolve;
    });
  }

  /** Uploads what is staged, retrying until it is done or aborted. Throws `engine/another-writer`. */
  async drain({ signal }: Waiting): Promise<DrainOutcome> {
    const { clock, random, logger } = this.#parts;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#mergeIfTooMany({ signal });
        const outcome = await this.#drainOnce({ signal });
        if (this.#failingSinceMs !== undefined) logger.log("info", "replica.recovered", {});
        this.#failingSinceMs = undefined;
        this.#lastError = undefined;
        return outcome;
      } catch (error) {
        if (signal.aborted || hasCode(error, "engine/another-writer")) throw error;
        if (this.#parts.once && (!canPass(error) || attempt === onceAttempts)) throw error;
        this.#failingSinceMs ??= clock.nowMs();
        this.#lastError = messageOf(error);
        const waitMs = Math.round(backoffMs(attempt, backoff, random));
        logger.log("warn", "replica.failed", { attempt, waitMs, error: messageOf(error) });
        await this.#mergeIfTooLarge({ signal });
        await Promise.race([clock.sleep(waitMs, { signal }), this.#hurried()]);
      }
    }
  }

  async #drainOnce({ signal }: Waiting): Promise<DrainOutcome> {
    const { staging, link, clock } = this.#parts;
    for (let puts = 0; ; puts++) {
      if (puts === filesPerDrain) return "more";
      const { snapshot } = staging;
      const next = staging.files.find((file) => file.txid > this.ackedThrough);
      const isDone = snapshot === undefined && next === undefined;
      // A single pass is not over before the replica has been looked at.
      if (isDone && (!this.#parts.once || link.isConfirmed)) return "done";
      const wasConfirmed = link.isConfirmed;
      const previous = await link.checkPrevious({ signal });
      const isChanged = previous.state === "changed";
      if (previous.state === "missing" || (isChanged && !wasConfirmed)) return "settle";
      if (isChanged) throw await link.conflict(previous.key, { signal });
      if (isDone) return "done";
      // The name of a merged file is new even if somebody has put files inside its range.
      const isWide = next !== undefined && next.minTxid < next.txid;
      if (isWide && (await link.hasLevelZeroAfter(this.ackedThrough, { signal }))) return "settle";
      try {
        if (snapshot === undefined) await this.#put(must(next, "a staged file"), { signal });
        else await this.#putSnapshot({ signal });
        this.#uploadedAtMs = clock.nowMs();
        this.#onAcked();
      } catch (error) {
        if (hasCode(error, "engine/another-writer") && !wasConfirmed) return "settle";
        if (!hasCode(error, "engine/state")) throw error;
        this.#parts.logger.log("error", "staging.damaged", { error: error.message });
        return "damaged";
      }
    }
  }

  async #put(file: StagedFile, { signal }: Waiting): Promise<void> {
    const { staging, link, codec } = this.#parts;
    await staging.checkIntact(file, codec, { signal });
    const { timestampMs } = await staging.readHeader(file);
    const { minTxid, txid: maxTxid } = file;
    await link.create(
      { level: 0, minTxid, maxTxid, timestampMs, body: staging.body(file) },
      { signal },
    );
  }

  /** While the store cannot be reached and too much waits, neighbours become wide files. */
  async #mergeIfTooLarge({ signal }: Waiting): Promise<void> {
    const waitingBytes = this.#waiting.reduce((sum, file) => sum + file.sizeBytes, 0);
    if (waitingBytes > this.#parts.limits.maxStagingBytes) await this.#mergeWaiting({ signal });
  }

  /** More waits than the budget can pay file by file. */
  async #mergeIfTooMany({ signal }: Waiting): Promise<void> {
    const putsLeft = this.#parts.budget?.putsLeft() ?? Number.POSITIVE_INFINITY;
    while (this.#waiting.length > Math.max(requestsWhenMerged, putsLeft)) {
      if (!(await this.#mergeWaiting({ signal }))) return;
    }
  }

  /**
   * Neighbours among what waits become one wide file; the newest stays single. `false` if nothing was merged: not being
   * able to is no reason not to upload.
   */
  async #mergeWaiting({ signal }: Waiting): Promise<boolean> {
    const { staging, codec, state, logger } = this.#parts;
    const files = neighboursToMerge(this.#waiting.slice(0, -1));
    if (files.length < 2) return false;
    try {
      const inputs = files.map((file) => ({
        name: file.path,
        chunks: staging.body(file).open({ signal }),
      }));
      const chunks = mergeLtx(codec, inputs, { ...levelZeroFields(state.nodeId), signal });
      const { sizeBytes } = await staging.replaceByMerged(files, chunks);
      logger.log("info", "staging.merged", { files: files.length, sizeBytes });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      logger.log("warn", "staging.not-merged", { files: files.length, error: messageOf(error) });
      return false;
    }
  }

  async #putSnapshot({ signal }: Waiting): Promise<void> {
    const { staging, link } = this.#parts;
    const { header, ...file } = must(staging.snapshot, "a staged snapshot");
    const { minTxid, maxTxid, timestampMs } = header;
    await link.create(
      { level: 9, minTxid, maxTxid, timestampMs, body: staging.body(file) },
      { signal },
    );
    await staging.removeSnapshot();
  }
}

function canPass(error: unknown): boolean {
  return error instanceof HeadwaterError && error.recovery === "retry";
}

/** The neighbours that are smallest together: merging what is wide already again and again would copy it each time. */
function neighboursToMerge(files: readonly StagedFile[]): readonly StagedFile[] {
  const count = Math.min(filesPerMerge, files.length);
  let best = files.slice(0, count);
  let bestBytes = Number.POSITIVE_INFINITY;
  for (let from = 0; from + count <= files.length; from++) {
    const group = files.slice(from, from + count);
    const bytes = group.reduce((sum, file) => sum + file.sizeBytes, 0);
    if (bytes < bestBytes) [best, bestBytes] = [group, bytes];
  }
  return best;
}
