// Keeps a local copy of an open replica, while queries go on: takes up the one that is there, makes one, and makes it anew when
// too much has changed since. Nothing depends on it: what fails is told, and pages come from the replica.
import type { Waiting } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Codec } from "../codec/codec.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { PageCopy } from "../view/copy-blocks.ts";
import type { CopyIndex } from "../view/copy-index.ts";
import { copyPages } from "../view/copy-pages.ts";
import type { ReplicaViews } from "../view/replica-views.ts";
import { HydratedPages } from "./hydrated-pages.ts";

/** A copy that is being made. Disposing it deletes it, unless it was committed. */
export interface NewCopy extends AsyncDisposable {
  /** `bytes` are borrowed until it resolves. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** All of it lies on the disk, and after that its record: from then on it is a copy. */
  commit(index: CopyIndex): Promise<PageCopy>;
}

/** Where the copies of one replica are kept, by all who have it open. */
export interface CopyShelf {
  /** The newest whole copy. */
  newest(): Promise<PageCopy | undefined>;
  /** Throws if there is no room for it. */
  begin(sizeBytes: number): Promise<NewCopy>;
  /** Deletes all others, and what is left of those that were never committed. */
  keepOnly(copy: PageCopy | undefined): Promise<void>;
  /** Runs `work` while nobody else does. */
  alone<T>(work: () => Promise<T>, waiting: Waiting): Promise<T>;
  /** Whether an error says that no room is left, so that trying again is no use. */
  isFull(error: unknown): boolean;
}

/** A copy is made anew when it has not this part of the newest pages. */
const maxMissingShare = 0.25;

const pauseMs = { check: 15_000, afterFailure: 60_000, most: 600_000 } as const;

export interface HydrationOptions {
  readonly views: ReplicaViews;
  readonly shelf: CopyShelf;
  readonly store: ObjectStore;
  readonly codec: Codec;
  readonly clock: Clock;
  /** Gets `replica.hydrating` as it goes on, `replica.hydrated` whenever a copy is there, and what fails. */
  readonly logger: Logger;
}

/** Runs until it is disposed. */
export class Hydration implements AsyncDisposable {
  /** The views, beside the copy. */
  readonly pages: HydratedPages;
  readonly #options: HydrationOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #broken: PageCopy | undefined;

  constructor(options: HydrationOptions) {
    const { views, codec, logger } = options;
    this.#options = options;
    this.pages = new HydratedPages({
      pages: views,
      fileOf: (number) => views.fileOf(number),
      codec,
      logger,
      onBroken: (copy) => {
        this.#broken = copy;
      },
    });
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger, shelf } = this.#options;
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#catchUp({ signal });
        failures = 0;
        await clock.sleep(pauseMs.check, { signal });
      } catch (error) {
        if (signal.aborted) return;
        const isFull = shelf.isFull(error);
        logger.log("warn", "replica.hydration-failed", { error: messageOf(error), isFull });
        if (isFull) return;
        failures++;
        const waitMs = Math.min(pauseMs.most, pauseMs.afterFailure * failures);
        await clock.sleep(waitMs, { signal }).catch(() => undefined);
      }
    }
  }

  async #catchUp({ signal }: Waiting): Promise<void> {
    const { shelf } = this.#options;
    if (this.pages.copy === undefined && this.#broken === undefined) {
      this.#adopt(await shelf.newest());
      // What was left by others that did not come to their end.
      await shelf.alone(async () => shelf.keepOnly(await shelf.newest()), { signal });
    }
    if (this.#isGoodEnough(this.pages.copy)) return;
    await shelf.alone(() => this.#renew({ signal }), { signal });
  }

  async #renew({ signal }: Waiting): Promise<void> {
    const { shelf, store, codec, views, logger } = this.#options;
    if (this.#broken !== undefined) await shelf.keepOnly(undefined);
    this.#broken = undefined;
    // Somebody else who has the replica open may have made one.
    const found = await shelf.newest();
    if (this.#isGoodEnough(found)) {
      this.#adopt(found);
      return;
    }
    using view = views.newest();
    const { state } = view;
    await using fresh = await this.#begin(state.map.commit * state.map.pageSize);
    const index = await copyPages({
      store,
      codec,
      state,
      fileOf: (number) => views.fileOf(number),
      write: (bytes, offset) => fresh.write(bytes, offset),
      onProgress: (readBytes, totalBytes) =>
        logger.log("info", "replica.hydrating", { readBytes, totalBytes }),
      signal,
    });
    const copy = await fresh.commit(index);
    this.#adopt(copy);
    await shelf.keepOnly(copy);
  }

  async #begin(sizeBytes: number): Promise<NewCopy> {
    const { shelf } = this.#options;
    try {
      return await shelf.begin(sizeBytes);
    } catch (error) {
      if (!shelf.isFull(error)) throw error;
      // An older copy may stand in its place.
      this.pages.copy = undefined;
      await shelf.keepOnly(undefined);
      return shelf.begin(sizeBytes);
    }
  }

  #adopt(copy: PageCopy | undefined): void {
    if (copy === undefined || copy.index.pageSize !== this.#options.views.pageSize) return;
    this.pages.copy = copy;
    const { txid, sizeBytes } = copy.index;
    this.#options.logger.log("info", "replica.hydrated", { txid: String(txid), sizeBytes });
  }

  #isGoodEnough(copy: PageCopy | undefined): boolean {
    if (copy === undefined) return false;
    const { views } = this.#options;
    using view = views.newest();
    const missing = copy.index.missingShare(view.map, (number) => views.fileOf(number));
    return missing <= maxMissingShare;
  }
}
