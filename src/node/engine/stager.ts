// What becomes of what capture sees: batches, comparisons, images and checkpoints. One lock keeps them apart; who must have
// the history to himself for other reasons runs under it too.
import { Mutex } from "../../core/base/async.ts";
import { hasCode } from "../../core/base/errors.ts";
import { must } from "../../core/base/assert.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { Capture } from "../capture/capture.ts";
import type { CheckpointOptions, PageSource } from "../capture/capture-types.ts";
import type { RestFacts } from "../capture/rest.ts";
import { BatchStager, nothingNew } from "./batch-stager.ts";
import type { Notice } from "./batch-stager.ts";
import type { CheckpointPolicy } from "./checkpoint-policy.ts";
import { ImageTaker, pinHead } from "./image-taker.ts";
import type { HistoryHead } from "./history.ts";
import type { PrepareImage } from "./image-taker.ts";
import type { EngineParts } from "./parts.ts";
import type { StagedFile } from "./staging.ts";
import { scrub, stageDiffering } from "./scrub.ts";
import type { Waiting } from "./waiting.ts";

/** Reading the source as it is at the head. */
export interface HeadReading<Noted, Result> {
  /** Takes what it needs of the head and its table, right when the source is pinned: both go on with the next batch. */
  readonly note: (head: HistoryHead, table: PageChecksums, source: PageSource) => Noted;
  /** Reads, while captures and uploads go on. */
  readonly read: (source: PageSource, noted: Noted, waiting: Waiting) => Promise<Result>;
}

export class Stager {
  readonly #parts: EngineParts;
  readonly #checkpoints: CheckpointPolicy;
  readonly #onStaged: () => void;
  readonly #images = new ImageTaker();
  readonly #lock = new Mutex();
  readonly #imaging = new Mutex();
  readonly #batches: BatchStager;
  #isCheckpointing = false;

  /** `onStaged` is called after each staged file. */
  constructor(parts: EngineParts, checkpoints: CheckpointPolicy, onStaged: () => void) {
    this.#parts = parts;
    this.#checkpoints = checkpoints;
    this.#onStaged = onStaged;
    this.#batches = new BatchStager(parts, {
      beforeComparing: () => this.#images.cancel(),
      onBatch: () => checkpoints.noteCapture(),
      onStaged,
    });
  }

  /** The attached database; throws `capture/gone` if there is none. */
  get capture(): Capture {
    return this.#batches.capture;
  }

  get isAttached(): boolean {
    return this.#batches.isAttached;
  }

  /** Transactions seen and not yet staged. */
  get pending(): number {
    return this.#batches.pending;
  }

  /** Transactions staged by this process. */
  get transactions(): number {
    return this.#batches.transactions;
  }

  /** Takes over a capture, which has to be compared before anything of it can be staged. */
  attach(capture: Capture): void {
    this.#batches.attach(capture);
  }

  /** Lets go of the database and closes it, keeping its WAL. */
  async detach(): Promise<void> {
    await this.#images.cancel();
    await this.#batches.release()?.close();
  }

  /** Notes that the database has to be attached anew. */
  noteFault(fault: unknown): void {
    this.#batches.noteFault(fault);
  }

  /** Notes what has been committed since the last look. Cheap; never throws. */
  look(): Notice {
    return this.#isCheckpointing ? nothingNew : this.#batches.look();
  }

  /** Runs `work` while nothing is staged, compared or checkpointed. */
  exclusively<T>(work: () => Promise<T>, waiting?: Waiting): Promise<T> {
    return this.#lock.run(work, waiting);
  }

  /**
   * Resolves when nothing is staged, compared or checkpointed. Attaching anew may wait for a store: whoever is going to take
   * a slot that others need waits here first.
   */
  quiet(waiting: Waiting): Promise<void> {
    return this.#lock.run(() => undefined, waiting);
  }

  /** Runs, under the lock, what brings the head to the position of capture; left half done, it has to be done anew. */
  compare(work: (capture: Capture) => Promise<void>): Promise<void> {
    return this.#lock.run(() => this.#batches.compare(() => work(this.capture)));
  }

  /** Stages everything committed so far. */
  stageAll(waiting: Waiting): Promise<void> {
    return this.#lock.run(() => this.#batches.stageAll(waiting));
  }

  /** Compares everything if capture cannot go on; throws what comparing cannot mend. */
  async mend(waiting: Waiting): Promise<void> {
    const { fault } = this.#batches;
    if (hasCode(fault, "capture/gap")) {
      await this.#lock.run(() => this.#batches.resync(fault.message, waiting));
    } else if (fault instanceof Error) {
      throw fault;
    }
  }

  /** Pins an image of the newest TXID and has it put. Captures and uploads go on meanwhile; other images wait. */
  putImage(prepare: PrepareImage, { signal }: Waiting): Promise<void> {
    return this.#imaging.run(
      async () => {
        // The image is started under the lock: whoever gets it next can cancel the image.
        const image = await this.#lock.run(
          async () => {
            await this.#batches.stageAll({ signal });
            const put = await this.#batches.compare(() => this.#prepareImage(prepare, { signal }));
            return this.#images.start(put, { signal });
          },
          { signal },
        );
        this.#onStaged();
        await image.done;
        this.#onStaged();
      },
      { signal },
    );
  }

  async #prepareImage(
    prepare: PrepareImage,
    waiting: Waiting,
  ): Promise<(waiting: Waiting) => Promise<void>> {
    const { capture } = this;
    const pinned = await pinHead(this.#parts, capture, waiting);
    try {
      return await prepare(capture, pinned, waiting);
    } catch (error) {
      pinned.source.release();
      throw error;
    }
  }

  /** Drops a damaged staged file. What it held is in the database: who needs it gets an image instead. */
  supersede(file: StagedFile, waiting: Waiting): Promise<void> {
    const { history, staging } = this.#parts;
    return this.compare(async (capture) => {
      const source = await scrub(this.#parts, capture, waiting);
      try {
        // The newest stays, so there has to be a newer one. It changes nothing.
        if (staging.newest === file) await history.stageChanges(source, Uint32Array.of(1), waiting);
      } finally {
        source.release();
      }
      await staging.removeThrough(file.txid);
    });
  }

  /**
   * Reads the source pinned at the head; only pinning keeps captures waiting, and nothing keeps writers waiting.
   * `undefined` if another image is pinned. Rejects with `capture/gone` if it had to be given up.
   */
  async readAtHead<Noted, Result>(
    { note, read }: HeadReading<Noted, Result>,
    { signal }: Waiting,
  ): Promise<Result | undefined> {
    const reading = await this.#lock.run(
      async () => {
        if (this.#images.isRunning) return undefined;
        const source = await this.#batches.pinAtHead({ signal });
        const { head, table } = this.#parts.history;
        // Nothing may fail between pinning and reading: whoever reads releases.
        const noted = note(must(head, "the head"), must(table, "the page checksums"), source);
        return this.#images.read(source, (waiting) => read(source, noted, waiting), { signal });
      },
      { signal },
    );
    return reading?.done;
  }

  /**
   * Stages those of the pages that are not what was captured, as one TXID; returns their numbers. `always`: a TXID is
   * staged even if none differs.
   */
  async restage(
    pgnos: Uint32Array,
    { signal, always = false }: Waiting & { readonly always?: boolean },
  ): Promise<Uint32Array> {
    const differing = await this.#lock.run(
      async () => {
        await this.#images.cancel();
        const source = await this.#batches.pinAtHead({ signal });
        try {
          return await stageDiffering(this.#parts, source, pgnos, { always, signal });
        } finally {
          source.release();
        }
      },
      { signal },
    );
    this.#onStaged();
    return differing;
  }

  checkpoint(waiting: Waiting): Promise<void> {
    return this.#lock.run(() => this.#checkpoint(this.#checkpoints.modeFor(this.capture), waiting));
  }

  /**
   * What the files are like while the database file alone is the head, and that head; `undefined` if it is not so now.
   * Empties the WAL first, so that who only reads afterwards changes nothing.
   */
  restFacts(
    waiting: Waiting,
  ): Promise<{ readonly facts: RestFacts; readonly head: HistoryHead } | undefined> {
    return this.#lock.run(async () => {
      if (!this.#batches.isContinuous) return undefined;
      const { capture } = this;
      if (capture.walSizeBytes > 0) await this.#checkpoint("truncate", waiting);
      const { head } = this.#parts.history;
      if (this.#batches.fault !== undefined || head === undefined) return undefined;
      const facts = await capture.restFacts(waiting);
      return facts && { facts, head };
    }, waiting);
  }

  async #checkpoint(mode: CheckpointOptions["mode"], { signal }: Waiting): Promise<void> {
    const { capture } = this;
    const { clock } = this.#parts;
    this.#isCheckpointing = true;
    try {
      const drain = async (): Promise<void> => {
        this.#isCheckpointing = false;
        await this.#batches.stageIfMuch({ signal });
        this.#isCheckpointing = true;
      };
      const startedMs = clock.monotonicMs();
      const outcome = await capture.checkpoint({ mode, drain, signal });
      this.#checkpoints.noteOutcome(outcome, capture, clock.monotonicMs() - startedMs);
    } catch (error) {
      if (hasCode(error, "capture/gap")) await this.#batches.resync(error.message, { signal });
      else if (hasCode(error, "engine/disk-full")) this.#checkpoints.noteFailure(error);
      else throw error;
    } finally {
      this.#isCheckpointing = false;
    }
  }
}
