// One replica at work: carries staged files to it, has its upkeep done (replica-upkeep.ts), and tells how far it has come.
import { Mutex, orAborted } from "../../core/base/async.ts";
import { Bell } from "./bell.ts";
import { follow } from "./follow.ts";
import type { PrepareImage } from "./image-taker.ts";
import { putImages, snapshotOf } from "./replica-image.ts";
import type { Stager } from "./stager.ts";
import type { StagedFile } from "./staging.ts";
import type { StagingMerger } from "./staging-merger.ts";
import { messageOf } from "../../core/base/errors.ts";
import type { ReplicaStatus } from "./engine-status.ts";
import type { ReplicaParts } from "./parts.ts";
import type { ReplicaLink } from "./replica-link.ts";
import { ReplicaUpkeep } from "./replica-upkeep.ts";
import { Uploader } from "./uploader.ts";
import type { DrainOutcome } from "./uploader.ts";
import type { Waiting } from "./waiting.ts";

/** Why the uploader cannot go on until database and replica are one history again. */
export type Disunion = Exclude<DrainOutcome, "done" | "more">;

/** What a worker has done by others. */
export interface WorkerHooks {
  readonly stager: Stager;
  readonly merger: StagingMerger;
  /** Where this is the only replica: makes one history of it and the database again; nothing is put meanwhile. */
  readonly rejoin: (why: Disunion, waiting: Waiting) => Promise<void>;
  /** The replica has acknowledged an object. */
  readonly onAcked: () => void;
  /** The replica has acknowledged a file that the budget pays for. */
  readonly onUploaded: () => void;
  /** Somebody waits for what is staged. */
  readonly isUrgent: () => boolean;
  /** Somebody follows by push: staging does not wait for uploads, nor uploads for each staged file. */
  readonly isFollowed: () => boolean;
  /** Staged files may have become superfluous. */
  readonly tidy: () => Promise<void>;
  /** There are others: this one follows the history, and never makes it. */
  readonly isOneOfSeveral: boolean;
}

export class ReplicaWorker {
  readonly parts: ReplicaParts;
  readonly #hooks: WorkerHooks;
  readonly #uploader: Uploader;
  readonly #upkeep: ReplicaUpkeep;
  readonly #bell = new Bell();
  /** Nothing is put while replica and staged files are brought to one history. Taken inside the stager's lock. */
  readonly #putting = new Mutex();
  readonly #joined = Promise.withResolvers<void>();
  /** When the last upload began. */
  #uploadedAtMs = Number.NEGATIVE_INFINITY;
  /** Full images that are being put. */
  #images = 0;
  /** While the replica follows: staged files after it are kept. At first all; after a failure none. */
  #heldAfter: bigint | undefined;
  #stoppedBy: { readonly error: unknown; readonly sinceMs: number } | undefined;

  constructor(parts: ReplicaParts, hooks: WorkerHooks) {
    this.parts = parts;
    this.#hooks = hooks;
    const { merger, isOneOfSeveral } = hooks;
    this.#upkeep = new ReplicaUpkeep(parts, {
      stager: hooks.stager,
      ackedThrough: () => this.ackedThrough,
      whilePaused: (work) => this.whilePaused(work),
      putSnapshot: (waiting) => this.putSnapshot(waiting),
      onCompacted: () => this.wake(),
    });
    this.#uploader = new Uploader(parts, {
      onAcked: () => {
        hooks.onAcked();
        hooks.onUploaded();
        this.#upkeep.noteUpload();
      },
      beginReading: (begin) => merger.beginReading(begin),
      mergeIfTooLarge: (waiting) => merger.mergeIfTooLarge(this, waiting),
      mergeIfMoreThan: (files, waiting) => merger.mergeIfMoreThan(files, this, waiting),
      isFollowed: hooks.isFollowed,
      several: isOneOfSeveral
        ? {
            follow: (waiting) => this.#follow(waiting),
            supersede: (file, waiting) => hooks.stager.supersede(file, waiting),
          }
        : undefined,
    });
    this.#joined.promise.catch(() => undefined);
  }

  get link(): ReplicaLink {
    return this.parts.link;
  }

  /** Every TXID up to it is in the replica; 0 = none. */
  get ackedThrough(): bigint {
    return this.#uploader.ackedThrough;
  }

  /** Staged files after this TXID have to stay for the replica; `undefined`: it needs none of them. */
  get heldAfter(): bigint | undefined {
    if (this.#stoppedBy !== undefined) return undefined;
    return this.#uploader.mustFollow ? this.#heldAfter : this.ackedThrough;
  }

  get isReading(): boolean {
    return this.#stoppedBy === undefined && this.#uploader.isReading;
  }

  /** The staged file whose name has to stay for the replica. */
  get attempted(): StagedFile | undefined {
    return this.#stoppedBy === undefined ? this.#uploader.attempted : undefined;
  }

  /** What ended replication to this replica while the others went on. */
  get stoppedBy(): { readonly error: unknown } | undefined {
    return this.#stoppedBy;
  }

  /** Level 1 holds everything up to it, so far as anybody here makes levels. */
  get compactedThrough(): bigint {
    return this.#upkeep.compactedThrough ?? this.ackedThrough;
  }

  get status(): ReplicaStatus {
    const { link } = this;
    const following = this.#uploader.mustFollow ? "following" : "replicating";
    const stopped = this.#stoppedBy;
    return {
      url: link.store.url,
      state: stopped === undefined ? following : "stopped",
      replicatedThrough: this.ackedThrough,
      uploadedBytes: link.uploadedBytes,
      uploadedAtMs: this.#uploader.uploadedAtMs,
      failingSinceMs: this.#uploader.failingSinceMs ?? stopped?.sinceMs,
      lastError: stopped === undefined ? this.#uploader.lastError : messageOf(stopped.error),
      ...this.#upkeep.status,
    };
  }

  /** It has everything up to `txid`, and nothing to do within `ms`. */
  isIdleFor(ms: number, txid: bigint): boolean {
    if (this.#stoppedBy !== undefined || this.#uploader.mustFollow || this.#images > 0)
      return false;
    return this.ackedThrough >= txid && !this.#upkeep.isBusyWithin(ms);
  }

  /** How long until something is due if nothing changes, ms; `Infinity` = never. */
  get untilUpkeep(): { readonly levelsMs: number; readonly verificationMs: number } {
    return this.#upkeep.msUntilDue;
  }

  /** An earlier engine has left something of the levels to do. */
  noteLeftLevels(): void {
    this.#upkeep.noteUpload();
  }

  /** Something may be there to upload. */
  wake(): void {
    this.#bell.ring();
  }

  /** Somebody waits: a pause between attempts ends now. */
  hurry(): void {
    this.#uploader.hurry();
  }

  /** Runs `work` while nothing is put. */
  whilePaused<T>(work: () => Promise<T>): Promise<T> {
    return this.#putting.run(work);
  }

  /** The replica may not be at our history: it is listed before anything is put. */
  mustFollow(): void {
    this.#heldAfter = 0n;
    this.#uploader.mustFollow = true;
  }

  /** Ends with this error, which `finish` throws. */
  stop(error: unknown): void {
    this.#stoppedBy = { error, sinceMs: this.parts.clock.nowMs() };
    this.#joined.reject(error);
  }

  /** Puts a full image of the newest TXID. Captures and uploads go on meanwhile. */
  async putSnapshot(waiting: Waiting): Promise<void> {
    const { parts } = this;
    if (this.#stoppedBy !== undefined) throw this.#stoppedBy.error;
    await orAborted(this.#joined.promise, waiting);
    const prepare: PrepareImage = async (capture, pinned) => {
      const requests = [snapshotOf(parts, pinned)];
      return (putting) => putImages(parts, capture, pinned.source, requests, putting);
    };
    this.#images++;
    try {
      await this.#hooks.stager.putImage(prepare, waiting);
    } finally {
      this.#images--;
    }
  }

  /** Uploads and makes levels until aborted. Throws what ends replication to this replica. */
  async run({ signal }: Waiting): Promise<void> {
    const ended = new AbortController();
    const both = AbortSignal.any([signal, ended.signal]);
    if (!this.#uploader.mustFollow) this.#joined.resolve();
    const upkeep = this.#runUpkeep({ signal: both });
    try {
      await this.#runUploads({ signal: both });
    } finally {
      ended.abort();
      await upkeep;
    }
  }

  /** Uploads what is staged; throws when aborted. Nothing else may run any more. */
  async finish({ signal }: Waiting): Promise<void> {
    if (this.#stoppedBy !== undefined) throw this.#stoppedBy.error;
    for (;;) {
      const outcome = await this.#uploader.drain({ signal });
      if (outcome === "done") return this.#upkeep.finish({ signal });
      if (outcome !== "more") await this.#hooks.rejoin(outcome, { signal });
    }
  }

  /** A replica that is not joined yet may be somebody else's: nothing of it is merged or deleted. */
  async #runUpkeep(waiting: Waiting): Promise<void> {
    try {
      await orAborted(this.#joined.promise, waiting);
    } catch {
      return;
    }
    await this.#upkeep.run(waiting);
  }

  async #follow(waiting: Waiting): Promise<void> {
    const { stager } = this.#hooks;
    const hold = (after: bigint): void => {
      this.#heldAfter = after;
    };
    try {
      // An image can take hours, in which nothing else would show that we are at work.
      await this.link.lease.during(
        (leased) => follow(this.parts, { stager, hold }, leased),
        waiting,
      );
      this.#joined.resolve();
    } catch (error) {
      // It may stay away for long. What it needs then is an image.
      this.#heldAfter = undefined;
      throw error;
    }
  }

  async #runUploads({ signal }: Waiting): Promise<void> {
    this.wake();
    while (!signal.aborted) {
      await this.#bell.wait(this.#msUntilUpload(), signal);
      if (signal.aborted) return;
      if ((this.#msUntilUpload() ?? 0) === 0) await this.#upload({ signal });
      await this.#hooks.tidy();
    }
  }

  async #upload(waiting: Waiting): Promise<void> {
    this.#uploadedAtMs = this.parts.clock.monotonicMs();
    const outcome = await this.#putting.run(() => this.#uploader.drain(waiting));
    if (outcome === "settle" || outcome === "damaged") await this.#hooks.rejoin(outcome, waiting);
    if (outcome !== "done") this.wake();
    this.#hooks.onAcked();
  }

  /**
   * `undefined`: nothing is staged. What somebody waits for does not wait for the budget, nor does the level-0 file of a
   * full image: a replica that ends in an image alone says less to a later writer.
   */
  #msUntilUpload(): number | undefined {
    if (this.#uploader.mustFollow) return 0;
    if (!this.#uploader.isWaiting) return undefined;
    const { staging, link } = this.parts;
    const isImage =
      this.#images > 0 || staging.images.waiting !== undefined || link.record?.level !== 0;
    if (isImage || this.#hooks.isUrgent()) return 0;
    return Math.max(link.budget?.msUntilPut() ?? 0, this.#msUntilTurn());
  }

  /** While somebody follows, all that is staged in a sync interval is uploaded together. */
  #msUntilTurn(): number {
    if (!this.#hooks.isFollowed()) return 0;
    const { clock, limits } = this.parts;
    return Math.max(0, this.#uploadedAtMs + limits.syncIntervalMs - clock.monotonicMs());
  }
}
