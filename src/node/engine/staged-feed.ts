// What is staged, for those who follow by push: each gets the staged files after the TXID that it has, one after the other,
// and how far the replicas are. Whoever reads asks for the next one, so nothing queues up for a slow one; what it needs is
// gone then, and it is sent to the store. Nothing here makes capture or an upload wait.
//
// It belongs to the database, not to an engine: engines come and go while others follow (docs/decisions/017-push.md).
import { collectBytes } from "../../core/base/bytes.ts";
import type { Clock } from "../../core/base/clock.ts";
import { type LtxHeader, areContradictory } from "../../core/ltx/header.ts";
import type { ChainPoint } from "../../core/replica/chain-files.ts";
import { type StreamFrame, maxStreamedFileBytes } from "../../core/push/stream-frames.ts";
import { Bell } from "./bell.ts";
import type { StagedFile, Staging } from "./staging.ts";
import type { Waiting } from "./waiting.ts";

/** Something is sent at least so often, ms. */
const heartbeatMs = 5_000;

/** Followers of one database at once. */
const maxFollowers = 64;

/** Newest files that are kept in memory for all followers together while there are any. */
const maxKeptBytes = maxStreamedFileBytes;

/** How long a follower waits for what is committed to be staged before it is told the head, ms. */
const stageWaitMs = 5_000;

/** So many heartbeats without an engine, and not at rest: the stream ends. */
const patience = 2;

/** An engine at work. */
export interface FeedSource {
  readonly staging: Staging;
  /** Every TXID up to it is in all replicas; 0 = none. */
  readonly durableTxid: () => bigint;
  /** Resolves when everything committed before the call is staged. */
  readonly stage: (waiting: Waiting) => Promise<unknown>;
  /** Somebody has begun to follow, or nobody does any more. */
  readonly onFollowed: () => void;
}

export interface StagedFeedOptions {
  readonly clock: Clock;
  /** The newest TXID while the database is at rest, all of it in the replicas; `undefined`: it is not at rest. */
  readonly restingTxid: () => bigint | undefined;
}

interface KeptFile {
  readonly file: StagedFile;
  /** `undefined`: it is gone, or too large. */
  readonly content: Promise<Content | undefined>;
}

interface Content {
  readonly header: LtxHeader;
  readonly bytes: Uint8Array;
}

interface Head {
  readonly txid: bigint;
  readonly checksum: bigint;
}

export class StagedFeed {
  readonly #options: StagedFeedOptions;
  readonly #bells = new Set<Bell>();
  /** By min TXID, oldest first. */
  readonly #keptByTxid = new Map<bigint, KeptFile>();
  #keptBytes = 0;
  /** Up to here everything new has been looked at. */
  #keptThrough = 0n;
  #source: FeedSource | undefined;
  #era: number | undefined;
  #isEnded = false;

  constructor(options: StagedFeedOptions) {
    this.#options = options;
  }

  /** Somebody follows: what is committed is to be staged soon. */
  get isFollowed(): boolean {
    return this.#bells.size > 0;
  }

  /** False while the database is stopped or not ready, or too many follow already: nobody can begin to. */
  get isOpen(): boolean {
    return !this.#isEnded && this.#isServed && this.#bells.size < maxFollowers;
  }

  get #isServed(): boolean {
    return this.#source !== undefined || this.#options.restingTxid() !== undefined;
  }

  /** An engine replicates until what is returned is disposed. */
  open(source: FeedSource): Disposable {
    this.#source = source;
    this.#isEnded = false;
    this.#forget();
    this.notify();
    return {
      [Symbol.dispose]: () => {
        if (this.#source !== source) return;
        this.#source = undefined;
        this.#forget();
        this.#ring();
      },
    };
  }

  /** Something was staged, or acknowledged. Never throws and waits for nothing. */
  notify(): void {
    if (!this.isFollowed || this.#source === undefined) return;
    const { files, era } = this.#source.staging;
    if (era !== this.#era) this.#forget();
    this.#era = era;
    // Read at once: at the next upload it may be merged with others.
    for (const file of files) if (file.txid > this.#keptThrough) this.#keep(file);
    this.#ring();
  }

  /** The database is stopped: streams end in order, and nobody can follow until an engine opens it again. */
  end(): void {
    this.#isEnded = true;
    this.#ring();
  }

  /** The frames for a follower that has `after`. Ends with the last one; leaving the loop or the signal ends it, too. */
  async *follow(after: bigint, { signal }: Waiting): AsyncGenerator<StreamFrame, void, undefined> {
    const bell = new Bell();
    this.#bells.add(bell);
    if (this.#bells.size === 1) {
      this.#forget();
      this.#source?.onFollowed();
    }
    try {
      yield* this.#frames({ txid: after, checksum: 0n }, bell, signal);
    } finally {
      this.#bells.delete(bell);
      if (!this.isFollowed) {
        this.#forget();
        this.#source?.onFollowed();
      }
    }
  }

  async *#frames(
    from: ChainPoint,
    bell: Bell,
    signal: AbortSignal,
  ): AsyncGenerator<StreamFrame, void, undefined> {
    const { clock } = this.#options;
    let at = from;
    let toldTxid = this.#durableTxid;
    await this.#stagePending(signal);
    let sentAtMs = clock.monotonicMs();
    let unserved = 0;
    const { txid: headTxid, checksum: headChecksum } = await this.#head();
    yield { kind: "hello", heartbeatMs, headTxid, headChecksum, durableTxid: toldTxid };
    while (!signal.aborted) {
      const isOver = this.#isEnded || unserved === patience;
      const next = isOver ? undefined : await this.#next(at);
      if (isOver || next === "reset") {
        yield isOver ? { kind: "end" } : await this.#reset();
        return;
      }
      if (next !== undefined) {
        yield { kind: "file", bytes: next.bytes };
        at = { txid: next.header.maxTxid, checksum: next.header.proof?.after ?? 0n };
        sentAtMs = clock.monotonicMs();
        continue;
      }
      if (this.#durableTxid > toldTxid) {
        toldTxid = this.#durableTxid;
        yield { kind: "durable", txid: toldTxid };
        sentAtMs = clock.monotonicMs();
        continue;
      }
      await bell.wait(sentAtMs + heartbeatMs - clock.monotonicMs(), signal);
      if (signal.aborted || clock.monotonicMs() - sentAtMs < heartbeatMs) continue;
      unserved = this.#isServed ? 0 : unserved + 1;
      yield { kind: "heartbeat", timeMs: clock.nowMs() };
      sentAtMs = clock.monotonicMs();
    }
  }

  /** Has what is committed by now staged, so that it is below the head. An engine that is busy is not waited for. */
  async #stagePending(signal: AbortSignal): Promise<void> {
    const source = this.#source;
    if (source === undefined) return;
    const given = new AbortController();
    const both = AbortSignal.any([signal, given.signal]);
    const late = this.#options.clock.sleep(stageWaitMs, { signal: both });
    await Promise.race([source.stage({ signal: both }), late]).catch(() => undefined);
    given.abort();
    await late.catch(() => undefined);
  }

  get #durableTxid(): bigint {
    return this.#source?.durableTxid() ?? this.#options.restingTxid() ?? 0n;
  }

  /** The newest that is staged, or that the database rests at; 0n: not known. */
  async #head(): Promise<Head> {
    const { staging } = this.#source ?? {};
    const newest = staging?.newest;
    if (staging === undefined || newest === undefined) {
      return {
        txid: this.#source === undefined ? (this.#options.restingTxid() ?? 0n) : 0n,
        checksum: 0n,
      };
    }
    const header = await staging.readHeader(newest).catch(() => undefined);
    return { txid: newest.txid, checksum: header?.proof?.after ?? 0n };
  }

  async #reset(): Promise<StreamFrame> {
    const { txid: headTxid } = await this.#head();
    return { kind: "reset", headTxid, durableTxid: this.#durableTxid };
  }

  /** What comes after `at`; `undefined`: nothing yet. `reset`: it cannot be had here. */
  async #next(at: ChainPoint): Promise<Content | "reset" | undefined> {
    const file = this.#source?.staging.files.find(({ minTxid }) => minTxid === at.txid + 1n);
    if (file !== undefined) this.#keep(file);
    const kept = this.#keptByTxid.get(at.txid + 1n);
    if (kept !== undefined) {
      const content = await kept.content;
      const before = content?.header.proof?.before ?? 0n;
      return content === undefined || areContradictory(before, at.checksum) ? "reset" : content;
    }
    const head = await this.#head();
    const isOther = head.txid === at.txid && areContradictory(head.checksum, at.checksum);
    return isOther || (head.txid !== 0n && head.txid !== at.txid) ? "reset" : undefined;
  }

  /** Reads a file for all followers, once. */
  #keep(file: StagedFile): void {
    if (file.txid > this.#keptThrough) this.#keptThrough = file.txid;
    if (this.#keptByTxid.get(file.minTxid)?.file === file) return;
    this.#drop(file.minTxid);
    const content = this.#read(file);
    this.#keptByTxid.set(file.minTxid, { file, content });
    this.#keptBytes += file.sizeBytes;
    for (const oldest of this.#keptByTxid.keys()) {
      if (this.#keptBytes <= maxKeptBytes || oldest === file.minTxid) break;
      this.#drop(oldest);
    }
    void content.then(() => this.#ring());
  }

  /** Never rejects. */
  async #read(file: StagedFile): Promise<Content | undefined> {
    const source = this.#source;
    if (source === undefined || file.sizeBytes > maxStreamedFileBytes) return undefined;
    const { signal } = new AbortController();
    try {
      const bytes = await collectBytes(source.staging.body(file).open({ signal }));
      return { header: await source.staging.readHeader(file), bytes };
    } catch {
      // It was merged or removed meanwhile, or cannot be read, which the uploader meets, too.
      return undefined;
    }
  }

  #drop(minTxid: bigint): void {
    const kept = this.#keptByTxid.get(minTxid);
    if (kept === undefined) return;
    this.#keptByTxid.delete(minTxid);
    this.#keptBytes -= kept.file.sizeBytes;
  }

  #forget(): void {
    this.#keptByTxid.clear();
    this.#keptBytes = 0;
    this.#keptThrough = this.#source?.staging.newest?.txid ?? 0n;
  }

  #ring(): void {
    for (const bell of this.#bells) bell.ring();
  }
}
