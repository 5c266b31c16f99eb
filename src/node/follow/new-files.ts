// Finds what a replica has beyond a TXID. The next file of level 0 has a name that is known, so it is asked for by that name;
// listings, which cost more than ten times as much, are for what the name cannot tell: files merged, gone or of another history.
import type { Waiting } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { areContradictory } from "../../core/ltx/header.ts";
import { type Txid, nextTxid, toTxid } from "../../core/ltx/txid.ts";
import {
  type ReplicaFile,
  findSingle,
  listLevel,
  listReplica,
} from "../../core/replica/catalog.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { planAdvance, planRestore, restorableRanges } from "../../core/replica/plan.ts";
import { isPushedKey } from "../../core/push/pushed-files.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { checksumAfter } from "./common-state.ts";
import { comparePushed } from "./compare-pushed.ts";
import type { PushedNews } from "./pushed-news.ts";
import type { AppliedFile, Position } from "./state-file.ts";

/** Waits in units of the interval. docs/guides/follow.md says what they cost. */
const waits = Object.freeze({
  /** Level 0 is listed this often, */
  level: 60,
  /** and all levels this often, unless the former shows that something is wrong, */
  all: 900,
  /** and then, or after a listing that had what no name had told, not more often than this. */
  again: 10,
  /** While the primary tells what is new, the store is asked this often. */
  pushed: 10,
});

/** So many files in a row are taken by name. Then there are many, and they are listed. */
const hitLimit = 2;

/** A file that was damaged is read again after this long. */
const avoidMs = 5 * 60_000;

/** Files applied in one transaction: at most so many, and no more once they have so many bytes. */
const runLimit = Object.freeze({ files: 1000, sizeBytes: 64 * 1024 * 1024 });

/** What `NewFiles.look` has found. */
export type Found =
  | { readonly kind: "nothing" }
  /** They continue the TXID, in order. `isListed`: there were no others. */
  | { readonly kind: "files"; readonly files: readonly ReplicaFile[]; readonly isListed: boolean }
  /** No files lead there from this TXID, but a full image does. */
  | { readonly kind: "elsewhere"; readonly reason: "gap" | "history-changed" | "new-image" }
  /** There is more, up to `head`, but nothing that leads there. */
  | { readonly kind: "stuck"; readonly head: Txid };

export type FollowedPoint = Pick<
  Position,
  "txid" | "timestampMs" | "file" | "imageTxid" | "isProved"
> & {
  readonly databaseChecksum: bigint;
};

/** The files that make a state, in order. */
export interface NewestState {
  readonly files: readonly ReplicaFile[];
  /** The newest full image that there was to choose from. */
  readonly imageTxid: Txid;
  /** All files that they were chosen from. */
  readonly listed: readonly ReplicaFile[];
}

export interface NewFilesOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** What the primary pushes. */
  readonly pushed?: Pick<PushedNews, "isLive" | "following" | "takeOtherHistory"> | undefined;
}

const nothing: Found = { kind: "nothing" };

export class NewFiles {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #pushed: NewFilesOptions["pushed"];
  readonly #avoided = new Map<string, number>();
  #hits = 0;
  /** What the last listing of all levels came to, while nothing has changed since. */
  #stuck: Found | undefined;
  #levelAtMs = -Infinity;
  /** Less after a listing that had what names could not tell: wide files, if others are pushed to. */
  #levelWait: number = waits.level;
  #allAtMs = -Infinity;
  #askedAtMs = -Infinity;
  /** Key of a pushed file that is known to be in the store. */
  #confirmed: string | undefined;

  constructor(store: ObjectStore, { clock, intervalMs, pushed }: NewFilesOptions) {
    this.#pushed = pushed;
    this.#store = store;
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  /** Looks once. The first time everything is listed. */
  async look(at: FollowedPoint, waiting: Waiting): Promise<Found> {
    const pushed = this.#lookAtPushed(at);
    if (pushed !== undefined) return pushed;
    this.#askedAtMs = this.#clock.monotonicMs();
    if (this.#isDue(this.#allAtMs, waits.all)) return this.#lookAtAll(at, waiting);
    const next = await this.#next(at, waiting);
    if (next !== undefined && !this.#isAvoided(next) && this.#hits < hitLimit) {
      this.#hits++;
      return { kind: "files", files: [next], isListed: false };
    }
    this.#hits = 0;
    const isListable =
      next === undefined
        ? this.#isDue(this.#levelAtMs, this.#levelWait)
        : !this.#isAvoided(next) || this.#isDue(this.#allAtMs, waits.again);
    if (!isListable) return this.#stuck ?? nothing;
    const layout = layoutForUrl(this.#store.url);
    const level = await listLevel(this.#store, layout, 0, waiting);
    this.#levelAtMs = this.#clock.monotonicMs();
    const found = await this.#judge(level, at, waiting);
    this.#levelWait = next === undefined && found.kind === "files" ? waits.again : waits.level;
    if (found.kind === "files" || (found.kind === "nothing" && highestOf(level) === at.txid)) {
      this.#stuck = undefined;
      return found;
    }
    // Level 0 alone decides nothing but that.
    const isSuspicious = level.length > 0 && this.#isDue(this.#allAtMs, waits.again);
    return isSuspicious ? this.#lookAtAll(at, waiting) : (this.#stuck ?? nothing);
  }

  /** The newest state that can be restored. Throws `replica/empty` or `replica/gap` if there is none. */
  async newest(waiting: Waiting): Promise<NewestState> {
    const files = await listReplica(this.#store, layoutForUrl(this.#store.url), waiting);
    const sound = this.#sound(files);
    const last = restorableRanges(sound).at(-1)?.to;
    const plan =
      last === undefined
        ? planRestore(files, { kind: "latest" })
        : planRestore(sound, { kind: "txid", txid: last });
    const listed = last === undefined ? files : sound;
    return { files: plan, imageTxid: newestImageTxid(sound), listed };
  }

  /** Lists all files that are not known to be damaged. */
  async list(waiting: Waiting): Promise<readonly ReplicaFile[]> {
    return this.#sound(await listReplica(this.#store, layoutForUrl(this.#store.url), waiting));
  }

  /** The file is damaged: others that hold the same are looked for, now and for some time. */
  avoid(file: AppliedFile): void {
    this.#avoided.set(nameOf(file), this.#clock.monotonicMs());
    this.#allAtMs = -Infinity;
  }

  async #lookAtAll(at: FollowedPoint, waiting: Waiting): Promise<Found> {
    const files = await listReplica(this.#store, layoutForUrl(this.#store.url), waiting);
    this.#allAtMs = this.#clock.monotonicMs();
    this.#levelAtMs = this.#allAtMs;
    const found = await this.#judge(files, at, waiting);
    this.#stuck = found.kind === "stuck" ? found : undefined;
    const isOther = found.kind === "nothing" && (await this.#isOtherState(files, at, waiting));
    return isOther ? { kind: "elsewhere", reason: "history-changed" } : found;
  }

  /** Whether the file that made the TXID is gone, and another one gives another database at that TXID. */
  async #isOtherState(
    files: readonly ReplicaFile[],
    { txid, file, databaseChecksum }: FollowedPoint,
    { signal }: Waiting,
  ): Promise<boolean> {
    const other = files.find(({ maxTxid }) => maxTxid === txid);
    if (other === undefined || files.some(({ key }) => key === file.key)) return false;
    const after = await checksumAfter(other, { store: this.#store, signal });
    return areContradictory(after ?? 0n, databaseChecksum);
  }

  /** `undefined`: the store is to be asked. */
  #lookAtPushed(at: FollowedPoint): Found | undefined {
    const pushed = this.#pushed;
    if (pushed === undefined) return undefined;
    if (pushed.takeOtherHistory(at)) return { kind: "elsewhere", reason: "history-changed" };
    const files = pushed.following(at.txid);
    const damaged = files.findIndex((file) => this.#isAvoided(file));
    const sound = damaged === -1 ? files : files.slice(0, damaged);
    if (sound.length > 0) return { kind: "files", files: sound, isListed: false };
    return pushed.isLive && !this.#isDue(this.#askedAtMs, waits.pushed) ? nothing : undefined;
  }

  async #judge(files: readonly ReplicaFile[], at: FollowedPoint, waiting: Waiting): Promise<Found> {
    const { key } = at.file;
    if (!isPushedKey(key) || key === this.#confirmed) return this.#judgeListed(files, at);
    const verdict = await comparePushed(this.#store, files, at, waiting);
    if (verdict === "other") return { kind: "elsewhere", reason: "history-changed" };
    if (verdict === "same") this.#confirmed = key;
    // The store need not have it yet.
    const highest = highestOf(files);
    return verdict === "open" && (highest === undefined || highest < at.txid)
      ? nothing
      : this.#judgeListed(files, at);
  }

  #judgeListed(files: readonly ReplicaFile[], at: FollowedPoint): Found {
    const { txid, file } = at;
    const isReplaced = files.some(({ key, etag }) => key === file.key && etag !== file.etag);
    if (isReplaced) return { kind: "elsewhere", reason: "history-changed" };
    const sound = this.#sound(files);
    if (!at.isProved && hasImageAfter(sound, at.imageTxid)) {
      return { kind: "elsewhere", reason: "new-image" };
    }
    const next = planAdvance(sound, txid);
    if (next.length > 0) return { kind: "files", files: next, isListed: true };
    const highest = highestOf(files);
    if (highest === undefined || highest === txid) return nothing;
    if (highest < txid) return { kind: "elsewhere", reason: "history-changed" };
    // A chain that leads past this TXID without continuing it begins with a full image.
    const image = sound.find(({ minTxid, maxTxid }) => minTxid === 1n && maxTxid > txid);
    if (image === undefined) return { kind: "stuck", head: highest };
    return { kind: "elsewhere", reason: "gap" };
  }

  #next({ txid }: FollowedPoint, waiting: Waiting): Promise<ReplicaFile | undefined> {
    const layout = layoutForUrl(this.#store.url);
    return findSingle(this.#store, layout, nextTxid(txid), waiting);
  }

  #isDue(atMs: number, wait: number): boolean {
    return this.#clock.monotonicMs() - atMs >= wait * this.#intervalMs;
  }

  #sound(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
    return files.filter((file) => !this.#isAvoided(file));
  }

  #isAvoided(file: AppliedFile): boolean {
    const sinceMs = this.#avoided.get(nameOf(file));
    if (sinceMs === undefined) return false;
    if (this.#clock.monotonicMs() - sinceMs < avoidMs) return true;
    this.#avoided.delete(nameOf(file));
    return false;
  }
}

function nameOf({ key, etag }: AppliedFile): string {
  return `${key} ${etag}`;
}

/** TXID of the newest full image; 1 if there is none. */
export function newestImageTxid(files: readonly ReplicaFile[]): Txid {
  return highestOf(files.filter(({ minTxid }) => minTxid === 1n)) ?? toTxid(1);
}

function highestOf(files: readonly ReplicaFile[]): Txid | undefined {
  let highest: Txid | undefined;
  for (const { maxTxid } of files) {
    if (highest === undefined || maxTxid > highest) highest = maxTxid;
  }
  return highest;
}

/** What Litestream lost while it was down is only in later images, and its files do not prove what they lead to. */
export function hasImageAfter(files: readonly ReplicaFile[], txid: Txid): boolean {
  return files.some((file) => file.minTxid === 1n && file.maxTxid > txid);
}

/** As many of the files as one transaction takes. */
export function firstRun(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
  let sizeBytes = 0;
  const end = files.findIndex((file, i) => {
    const isFull = i > 0 && (i >= runLimit.files || sizeBytes >= runLimit.sizeBytes);
    sizeBytes += file.sizeBytes;
    return isFull;
  });
  return end === -1 ? files : files.slice(0, end);
}
