// One replica as the engine sees it: what is in it, whether it is still what we left, and putting into it.
// The rules are those of architecture section 6: names are created once, an existing name is compared before
// anything is decided, and a replica that somebody else writes to is never written over.
import { Mutex } from "../../core/base/async.ts";
import { collectBytes } from "../../core/base/bytes.ts";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { decodeHeader, ltxHeaderSizeBytes } from "../../core/ltx/header.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { listLevel, listReplica } from "../../core/replica/catalog.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { WatchedBody } from "../../core/replica/file-facts.ts";
import type { ReplicaLayout } from "../../core/replica/layout.ts";
import type { ObjectBody, ObjectInfo, ObjectStore } from "../../core/store/object-store.ts";
import { findEqualObject } from "../../core/store/settle-put.ts";
import { anotherWriter } from "./another-writer.ts";
import type { BudgetKeeper } from "./budget-keeper.ts";
import { KnownFiles } from "./known-files.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import { LevelZeroWatch } from "./level-zero-watch.ts";
import type { ManifestBook } from "./manifest-book.ts";
import type { ReplicaRecord, ReplicaRecordFile } from "./replica-record.ts";
import type { ReplicaSurvey } from "./replica-survey.ts";
import type { Waiting } from "./waiting.ts";

/** What a file is put as. */
export interface PutRequest {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  readonly timestampMs: number;
  readonly body: ObjectBody;
  /** A full image put before the chain leads to it: it says nothing about how far the chain has come. */
  readonly isBeside?: boolean | undefined;
}

/** What became of an object of ours. */
export interface PreviousObject {
  readonly state: "unchanged" | "changed" | "missing";
  readonly key: string;
}

export interface ReplicaLinkOptions {
  readonly store: ObjectStore;
  /** The same store where levels, images and retention pay from a budget of their own. */
  readonly upkeepStore?: ObjectStore | undefined;
  /** What it may cost; `undefined`: no limit. */
  readonly budget?: BudgetKeeper | undefined;
  readonly layout: ReplicaLayout;
  readonly records: ReplicaRecordFile;
  readonly lease: LeaseKeeper;
  /** `undefined`: no manifest is written. */
  readonly manifest?: ManifestBook | undefined;
  /** See `PutTimes`. */
  readonly latePuts?: ReadonlyMap<string, number> | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A quiet replica is looked at again before the next put after this long. */
const trustMs = 60_000;

export class ReplicaLink {
  readonly store: ObjectStore;
  /** For levels, images and retention. */
  readonly upkeepStore: ObjectStore;
  /** What it may cost; `undefined`: no limit. */
  readonly budget: BudgetKeeper | undefined;
  readonly layout: ReplicaLayout;
  /** Whether it is ours to write. */
  readonly lease: LeaseKeeper;
  /** `undefined`: no manifest is written. */
  readonly manifest: ManifestBook | undefined;
  /** Names the replica if there are several. */
  readonly logger: Logger;
  /** Who else puts files there. */
  readonly levelZero: LevelZeroWatch;
  /** The files of the replica, once they have been listed for the levels. */
  readonly known: KnownFiles;
  readonly #options: ReplicaLinkOptions;
  readonly #recording = new Mutex();
  #confirmedAtMs: number | undefined;
  /** What `record` was when it was last confirmed, or when the first object was put. */
  #earlier: ReplicaRecord | undefined;
  #uploadedBytes = 0;

  constructor(options: ReplicaLinkOptions) {
    this.#options = options;
    this.known = new KnownFiles(options.latePuts);
    this.store = options.store;
    this.upkeepStore = options.upkeepStore ?? options.store;
    this.budget = options.budget;
    this.layout = options.layout;
    this.lease = options.lease;
    this.manifest = options.manifest;
    this.logger = options.logger;
    this.levelZero = new LevelZeroWatch({
      clock: options.clock,
      list: (waiting) => listLevel(this.store, this.layout, 0, waiting),
    });
  }

  /** Bytes put by this process. */
  get uploadedBytes(): number {
    return this.#uploadedBytes;
  }

  get record(): ReplicaRecord | undefined {
    return this.#options.records.record;
  }

  /** Lists everything and reads the header of the newest file. */
  async survey({ signal }: Waiting): Promise<ReplicaSurvey> {
    this.known.forget();
    const files = await listReplica(this.store, this.layout, { signal });
    const newest = files.reduce<ReplicaFile | undefined>(
      (best, file) =>
        best === undefined ||
        file.maxTxid > best.maxTxid ||
        (file.maxTxid === best.maxTxid && file.level < best.level)
          ? file
          : best,
      undefined,
    );
    if (newest === undefined) return { files, head: undefined };
    const header = await this.readHeader(newest, { signal });
    const single = newest.level === 0 && newest.minTxid === newest.maxTxid ? newest : undefined;
    return { files, head: { txid: newest.maxTxid, file: newest, header, single } };
  }

  async readHeader(file: ReplicaFile, { signal }: Waiting): Promise<LtxHeader> {
    const content = await this.store.get(file.key, { length: ltxHeaderSizeBytes, signal });
    const bytes = content === undefined ? new Uint8Array(0) : await collectBytes(content.body);
    try {
      return decodeHeader(bytes);
    } catch (error) {
      throw new HeadwaterError(
        "replica/foreign-file",
        `${file.key} in ${this.store.url} is not a readable LTX file. Move it away; then start again.`,
        { data: { key: file.key }, cause: error },
      );
    }
  }

  /** True when the replica's object has exactly these bytes. */
  async isIdentical(key: string, body: ObjectBody, { signal }: Waiting): Promise<boolean> {
    return (await findEqualObject(this.store, key, body, { signal })) !== undefined;
  }

  /**
   * Whether our objects are still there, asked at most once a minute: the last acknowledged one, and the one that was
   * the last when we asked before. Only the latter tells that the replica was emptied between two of our puts.
   */
  async checkPrevious({ signal }: Waiting): Promise<PreviousObject> {
    const { record } = this;
    const now = this.#options.clock.monotonicMs();
    const isFresh = this.#confirmedAtMs !== undefined && now - this.#confirmedAtMs < trustMs;
    if (record === undefined || isFresh) return { state: "unchanged", key: "" };
    const earlier = this.#earlier === undefined ? [] : [this.#earlier];
    for (const one of [...earlier, record]) {
      const key = this.keyOf(one);
      const info = await this.store.head(key, { signal });
      if (info === undefined) return { state: "missing", key };
      if (info.etag !== one.etag || info.sizeBytes !== one.sizeBytes)
        return { state: "changed", key };
    }
    this.#confirmedAtMs = now;
    this.#earlier = record;
    return { state: "unchanged", key: "" };
  }

  /** True when an object of ours was seen or put in this process: from then on a change means another writer. */
  get isConfirmed(): boolean {
    return this.#confirmedAtMs !== undefined;
  }

  keyOf({ level, minTxid, maxTxid }: Pick<PutRequest, "level" | "minTxid" | "maxTxid">): string {
    return this.layout.key({ level, minTxid, maxTxid });
  }

  /**
   * Creates one file and records it. A file of that name with the same bytes counts as done. Throws
   * `engine/another-writer` for other bytes under that name, or if the lease is somebody else's.
   */
  async create(request: PutRequest, { signal }: Waiting): Promise<void> {
    const { clock, logger } = this.#options;
    const key = this.keyOf(request);
    await this.#mayPut(request, { signal });
    const startedMs = clock.monotonicMs();
    const body = new WatchedBody(request.body);
    const info = await this.#putOnce(key, { ...request, body }, { signal });
    await this.#acknowledge(request, info);
    this.manifest?.notePut(info, body.facts);
    const elapsedMs = Math.round(clock.monotonicMs() - startedMs);
    const { level, maxTxid } = request;
    logger.log("debug", "ltx.uploaded", {
      level,
      txid: formatTxid(maxTxid),
      sizeBytes: info.sizeBytes,
      elapsedMs,
    });
  }

  /** A single level-0 file is fenced by its name, which two cannot create; a wide one has a name of its own. */
  async #mayPut({ level, minTxid, maxTxid }: PutRequest, waiting: Waiting): Promise<void> {
    const { createOnly } = await this.store.features(waiting);
    const isFenced = createOnly && level === 0 && minTxid === maxTxid;
    await (isFenced ? this.lease.holdOrSeeFree(waiting) : this.lease.hold(waiting));
  }

  async #putOnce(key: string, request: PutRequest, { signal }: Waiting): Promise<ObjectInfo> {
    const { level, body, timestampMs } = request;
    const store = level === 0 ? this.store : this.upkeepStore;
    const { createOnly } = await store.features({ signal });
    if (!createOnly) {
      const existing = await store.head(key, { signal });
      if (existing !== undefined) return this.#sameOrConflict(key, body, { signal });
      return store.put(key, body, { timestampMs, signal });
    }
    try {
      return await store.put(key, body, { condition: "absent", timestampMs, signal });
    } catch (error) {
      if (!hasCode(error, "store/exists")) throw error;
      return this.#sameOrConflict(key, body, { signal });
    }
  }

  async #sameOrConflict(key: string, body: ObjectBody, { signal }: Waiting): Promise<ObjectInfo> {
    const info = await findEqualObject(this.store, key, body, { signal });
    if (info !== undefined) return info;
    throw await this.conflict(key, { signal });
  }

  /** The error that says who else wrote `key`, and when. */
  conflict(key: string, waiting: Waiting): Promise<HeadwaterError> {
    return anotherWriter(this.store, key, waiting);
  }

  /** Takes an object found in the replica as our last acknowledged one. */
  async adopt(file: ReplicaFile): Promise<void> {
    const { level, minTxid, maxTxid, sizeBytes, etag } = file;
    await this.#options.records.write({ level, minTxid, maxTxid, sizeBytes, etag });
    this.#earlier = this.record;
    this.#confirmedAtMs = this.#options.clock.monotonicMs();
  }

  /** An object of ours that was lost is there again, as another version: that is the one to look for now. */
  async noteRenewed(file: ReplicaFile): Promise<void> {
    const { key, sizeBytes, etag } = file;
    this.known.add(file, this.#options.clock.nowMs());
    this.manifest?.notePut(file, undefined);
    const renewed = (one: ReplicaRecord): ReplicaRecord =>
      this.keyOf(one) === key ? { ...one, sizeBytes, etag } : one;
    this.#earlier = this.#earlier && renewed(this.#earlier);
    await this.#recording.run(async () => {
      if (this.record !== undefined && this.keyOf(this.record) === key)
        await this.#options.records.write(renewed(this.record));
    });
  }

  async forget(): Promise<void> {
    this.known.forget();
    await this.#options.records.clear();
    this.levelZero.forget();
    this.#earlier = undefined;
    this.#confirmedAtMs = undefined;
  }

  async #acknowledge(request: PutRequest, { sizeBytes, etag }: ObjectInfo): Promise<void> {
    this.#confirmedAtMs ??= this.#options.clock.monotonicMs();
    this.#uploadedBytes += sizeBytes;
    const { level, minTxid, maxTxid, timestampMs } = request;
    const range = { level, minTxid, maxTxid };
    const key = this.keyOf(range);
    if (level === 0) this.levelZero.notePut(key);
    const file = { ...range, key, sizeBytes, etag, timestampMs, isExactTime: true };
    this.known.add(file, this.#options.clock.nowMs());
    await this.#recording.run(async () => {
      // A snapshot put beside a chain says nothing about how far the chain has come.
      if (request.isBeside === true || (level > 0 && this.record !== undefined)) return;
      await this.#options.records.write({ level, minTxid, maxTxid, sizeBytes, etag });
      this.#earlier ??= this.record;
    });
  }
}
