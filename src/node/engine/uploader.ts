// Carries staged files to the replica, oldest first, one at a time: a chain in a replica never has a hole.
import type { StagedFile } from "./staging.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import { backoffMs } from "../../core/base/async.ts";
import type { ReplicaParts } from "./parts.ts";
import { must } from "../../core/base/assert.ts";
import type { Waiting } from "./waiting.ts";

/** Retries never end by themselves, except in a single pass. */
const backoff = { firstMs: 250, maxMs: 300_000 };
const onceAttempts = 6;

/** Trying again would not mend it. */
const finalCodes = ["engine/another-writer", "capture/page-size"] as const;

/** What a wide file, the look at level 0 before it, and the newest file cost together. */
const requestsWhenMerged = 3;

/**
 * `more`: so many files were put that staging should be tidied. `settle`: the replica is not what we left; list it.
 * `damaged`: a staged file is not what was staged; what is committed has to be captured anew.
 */
export type DrainOutcome = "done" | "more" | "settle" | "damaged";

/**
 * So many files are put one by one. More wait only where the store was away, or where staging is faster than putting: then
 * each put would leave us further behind. At the default interval a store may be away for 16 s without costing a restore
 * point, and no sync waits for more puts than take a store a second or two.
 */
const filesPerDrain = 16;

/** What waits is then uploaded as a wide file and the newest one; as several wide ones if a single one would be large. */
const filesWhenMerged = 2;
const maxMergedBytes = 16 * 1024 * 1024;

export interface UploaderHooks {
  /** After each object that the replica has acknowledged. */
  readonly onAcked: () => void;
  /** Calls `begin` when staged files may be read, which from then on stay as they are. */
  readonly beginReading: (begin: () => void) => Promise<void>;
  /** An attempt has failed: what waits for the replica may have to be merged. */
  readonly mergeIfTooLarge: (waiting: Waiting) => Promise<void>;
  /** Merges what waits for the replica until it is no more than so many files, each of at most `maxBytes`. */
  readonly mergeIfMoreThan: (
    files: number,
    waiting: Waiting & { readonly maxBytes?: number | undefined },
  ) => Promise<void>;
  /** Somebody follows by push: many small files are staged between two uploads. */
  readonly isFollowed: () => boolean;
  /** Only where others have the history, too. Without it `drain` ends when the replica is not what we left. */
  readonly several?: SeveralHooks | undefined;
}

export interface SeveralHooks {
  /** Leads the replica to the history of the others. */
  readonly follow: (waiting: Waiting) => Promise<void>;
  /** Makes do without a staged file that is damaged. */
  readonly supersede: (file: StagedFile, waiting: Waiting) => Promise<void>;
}

export class Uploader {
  readonly #parts: ReplicaParts;
  readonly #hooks: UploaderHooks;
  #mustFollow = false;
  #isAttempting = false;
  /** The file that was taken last to be put, whatever came of it. */
  #attempted: StagedFile | undefined;
  #failingSinceMs: number | undefined;
  #lastError: string | undefined;
  #uploadedAtMs: number | undefined;
  #hurry: () => void = () => undefined;

  constructor(parts: ReplicaParts, hooks: UploaderHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
  }

  /** Every TXID up to it is in the replica as a level-0 file, or contained in one there; 0 = none. */
  get ackedThrough(): bigint {
    const { record } = this.#parts.link;
    if (record === undefined) return 0n;
    return record.level === 0 ? record.maxTxid : record.maxTxid - 1n;
  }

  /** Something is staged that the replica has not. */
  get isWaiting(): boolean {
    return this.#parts.staging.images.waiting !== undefined || this.#waiting.length > 0;
  }

  get #waiting(): readonly StagedFile[] {
    return this.#parts.staging.files.filter((file) => file.txid > this.ackedThrough);
  }

  /** The replica is not known to be at the history of the others: it follows first. */
  get mustFollow(): boolean {
    return this.#mustFollow;
  }

  set mustFollow(value: boolean) {
    this.#mustFollow = value;
  }

  /** Staged files are read, each as it is: more than are put one by one may be merged by others, too. */
  get isReading(): boolean {
    return this.#isAttempting && (this.#mustFollow || !this.#isBehind);
  }

  /**
   * The file that is being put, or may have been put under its name already by an attempt that failed or an engine that
   * died.
   */
  get attempted(): StagedFile | undefined {
    return this.#uploadedAtMs === undefined ? this.#waiting[0] : this.#attempted;
  }

  get #isBehind(): boolean {
    return this.#waiting.length > filesPerDrain;
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
        const outcome = await this.#attempt({ signal });
        if (this.#failingSinceMs !== undefined) logger.log("info", "replica.recovered", {});
        this.#failingSinceMs = undefined;
        this.#lastError = undefined;
        return outcome;
      } catch (error) {
        if (signal.aborted || hasCode(error, ...finalCodes)) throw error;
        if (this.#parts.once && (!canPass(error) || attempt === onceAttempts)) throw error;
        this.#failingSinceMs ??= clock.nowMs();
        this.#lastError = messageOf(error);
        const waitMs = Math.round(backoffMs(attempt, backoff, random));
        logger.log("warn", "replica.failed", { attempt, waitMs, error: messageOf(error) });
        await this.#hooks.mergeIfTooLarge({ signal });
        await Promise.race([clock.sleep(waitMs, { signal }), this.#hurried()]);
      }
    }
  }

  /** More waits than is put one by one, while somebody follows than one upload is to be, or than the budget can pay. */
  async #mergeIfTooMany(waiting: Waiting): Promise<void> {
    // Until it has followed, its head may be a file that is staged here.
    const isMany = !this.#mustFollow && (this.#isBehind || this.#hooks.isFollowed());
    if (isMany)
      await this.#hooks.mergeIfMoreThan(filesWhenMerged, { ...waiting, maxBytes: maxMergedBytes });
    const putsLeft = this.#parts.link.budget?.putsLeft() ?? Number.POSITIVE_INFINITY;
    const most = Math.max(requestsWhenMerged, putsLeft);
    if (this.#waiting.length > most) await this.#hooks.mergeIfMoreThan(most, waiting);
  }

  async #attempt(waiting: Waiting): Promise<DrainOutcome> {
    const { several } = this.#hooks;
    try {
      await this.#hooks.beginReading(() => {
        this.#isAttempting = true;
      });
      if (several === undefined) return await this.#drainOnce(waiting);
      if (this.#mustFollow) await several.follow(waiting);
      this.#mustFollow = false;
      const outcome = await this.#drainOnce(waiting);
      if (outcome !== "settle") return outcome;
      this.#mustFollow = true;
      return "more";
    } finally {
      this.#isAttempting = false;
    }
  }

  async #drainOnce({ signal }: Waiting): Promise<DrainOutcome> {
    const { staging, link, clock } = this.#parts;
    // What is staged meanwhile goes with the next upload.
    const through = this.#hooks.isFollowed() ? staging.newest?.txid : undefined;
    for (let puts = 0; ; puts++) {
      if (puts === filesPerDrain) return "more";
      const image = staging.images.waiting;
      const next = await this.#take(through);
      const isDone = image === undefined && next === undefined;
      if (next !== undefined && this.#hooks.several && !this.#continues(next)) return "settle";
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
      if (isWide && (await this.#hasStrangers(next, { signal }))) return "settle";
      try {
        if (image === undefined) await this.#put(must(next, "a staged file"), { signal });
        else await this.#putSnapshot({ signal });
        this.#uploadedAtMs = clock.nowMs();
        this.#hooks.onAcked();
      } catch (error) {
        if (hasCode(error, "engine/another-writer") && !wasConfirmed) return "settle";
        // Dropped or merged meanwhile: what is there now is chosen anew.
        if (next !== undefined && !staging.files.includes(next)) continue;
        if (!hasCode(error, "engine/state")) throw error;
        this.#parts.logger.log("error", "staging.damaged", { error: error.message });
        if (this.#hooks.several === undefined || next === undefined) return "damaged";
        await this.#hooks.several.supersede(next, { signal });
      }
    }
  }

  /** The file that is to be put next; from now on it stays as it is. */
  async #take(through: bigint | undefined): Promise<StagedFile | undefined> {
    let next: StagedFile | undefined;
    await this.#hooks.beginReading(() => {
      next = this.#waiting.find(({ txid }) => through === undefined || txid <= through);
      this.#attempted = next;
    });
    return next;
  }

  /** While somebody follows there is a wide file each time: level 0 is listed no more often than other things are looked at. */
  #hasStrangers({ minTxid, txid: maxTxid }: StagedFile, waiting: Waiting): Promise<boolean> {
    const { link } = this.#parts;
    // An earlier attempt may have put it, which putting it again finds out.
    const except = link.keyOf({ level: 0, minTxid, maxTxid });
    const question = { through: this.ackedThrough, except, ...waiting };
    return this.#hooks.isFollowed()
      ? link.levelZero.hasStrangers(question)
      : link.levelZero.hasLater(question);
  }

  /** A staged file follows what the replica has without a hole. */
  #continues({ minTxid }: StagedFile): boolean {
    const through = this.#parts.link.record?.maxTxid ?? 0n;
    return minTxid > this.ackedThrough && minTxid <= through + 1n;
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

  async #putSnapshot({ signal }: Waiting): Promise<void> {
    const { staging, link } = this.#parts;
    const { header, ...file } = must(staging.images.waiting, "a staged image");
    const { minTxid, maxTxid, timestampMs } = header;
    await link.create(
      { level: 9, minTxid, maxTxid, timestampMs, body: staging.body(file) },
      { signal },
    );
    await staging.images.remove();
  }
}

function canPass(error: unknown): boolean {
  return error instanceof HeadwaterError && error.recovery === "retry";
}
