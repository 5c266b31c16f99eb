// Carries staged files to the replica, oldest first, one at a time: a chain in a replica never has a hole.
import { mergeLtx } from "../../core/ltx/merge.ts";
import { levelZeroFields } from "./history.ts";
import type { StagedFile } from "./staging.ts";
import { hasCode, messageOf } from "../../core/base/errors.ts";
import { backoffMs } from "../../core/base/async.ts";
import type { EngineParts } from "./parts.ts";
import { must } from "../../core/base/assert.ts";

interface Waiting {
  readonly signal: AbortSignal;
}

/** Retries never end by themselves. */
const backoff = { firstMs: 250, maxMs: 300_000 };

/** `more`: so many files were put that staging should be tidied. `settle`: the replica is not what we left; list it. */
export type DrainOutcome = "done" | "more" | "settle";

const filesPerDrain = 64;

export class Uploader {
  readonly #parts: EngineParts;
  readonly #onAcked: () => void;
  #failingSinceMs: number | undefined;
  #lastError: string | undefined;
  #uploadedAtMs: number | undefined;

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

  /** Uploads what is staged, retrying until it is done or aborted. Throws `engine/another-writer`. */
  async drain({ signal }: Waiting): Promise<DrainOutcome> {
    const { clock, random, logger } = this.#parts;
    for (let attempt = 1; ; attempt++) {
      try {
        const outcome = await this.#drainOnce({ signal });
        if (this.#failingSinceMs !== undefined) logger.log("info", "replica.recovered", {});
        this.#failingSinceMs = undefined;
        this.#lastError = undefined;
        return outcome;
      } catch (error) {
        if (signal.aborted || hasCode(error, "engine/another-writer")) throw error;
        this.#failingSinceMs ??= clock.nowMs();
        this.#lastError = messageOf(error);
        const waitMs = Math.round(backoffMs(attempt, backoff, random));
        logger.log("warn", "replica.failed", { attempt, waitMs, error: messageOf(error) });
        await clock.sleep(waitMs, { signal });
      }
    }
  }

  async #drainOnce({ signal }: Waiting): Promise<DrainOutcome> {
    const { staging, link, clock } = this.#parts;
    for (let puts = 0; ; puts++) {
      if (puts === filesPerDrain) return "more";
      await this.#mergeIfTooLarge({ signal });
      const { snapshot } = staging;
      const next = staging.files.find((file) => file.txid > this.ackedThrough);
      if (snapshot === undefined && next === undefined) return "done";
      const wasConfirmed = link.isConfirmed;
      const previous = await link.checkPrevious({ signal });
      const isChanged = previous.state === "changed";
      if (previous.state === "missing" || (isChanged && !wasConfirmed)) return "settle";
      if (isChanged) throw await link.conflict(previous.key, { signal });
      try {
        if (snapshot === undefined) await this.#put(must(next, "a staged file"), { signal });
        else await this.#putSnapshot({ signal });
        this.#uploadedAtMs = clock.nowMs();
        this.#onAcked();
      } catch (error) {
        if (hasCode(error, "engine/another-writer") && !wasConfirmed) return "settle";
        throw error;
      }
    }
  }

  async #put(file: StagedFile, { signal }: Waiting): Promise<void> {
    const { staging, link } = this.#parts;
    const { timestampMs } = await staging.readHeader(file);
    const { minTxid, txid: maxTxid } = file;
    await link.create(
      { level: 0, minTxid, maxTxid, timestampMs, body: staging.body(file) },
      { signal },
    );
  }

  /** When staging has grown too large, everything waiting but the newest becomes one wide file. */
  async #mergeIfTooLarge({ signal }: Waiting): Promise<void> {
    const { staging, limits, codec, state, logger } = this.#parts;
    if (staging.sizeBytes <= limits.maxStagingBytes) return;
    const waiting = staging.files.filter(
      (file) => file.txid > this.ackedThrough && file !== staging.newest,
    );
    if (waiting.length < 2) return;
    const inputs = waiting.map((file) => ({
      name: file.path,
      chunks: staging.body(file).open({ signal }),
    }));
    const chunks = mergeLtx(codec, inputs, { ...levelZeroFields(state.nodeId), signal });
    const merged = await staging.replaceByMerged(waiting, chunks);
    logger.log("warn", "staging.merged", { files: waiting.length, sizeBytes: merged.sizeBytes });
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
