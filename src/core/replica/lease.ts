// One writer per replica: the lease in its store. It adds to the create-only names of LTX files that a second writer is
// told before it puts anything, and that the first one learns who took over. No clocks are compared, and a holder that
// has nothing to write makes no request; docs/decisions/010-one-writer.md has the protocol and why it is safe.
import { Mutex } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import { toHex } from "../base/bytes.ts";
import { HeadwaterError, hasCode, messageOf } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { leaseError, leaseKey, putLease, readLease } from "./lease-object.ts";
import type { FoundLease, LeaseRecord } from "./lease-object.ts";
import { isSilent, leaseShares as shares } from "./lease-watch.ts";
import type { LeaseWatchOptions } from "./lease-watch.ts";

/** Where a holder keeps what it needs to go on at once after a crash. */
export interface LeaseMemory {
  /** The nonces that were remembered, newest first. */
  recall(): Promise<readonly string[]>;
  remember(nonces: readonly string[]): Promise<void>;
}

export interface LeaseOptions extends LeaseWatchOptions {
  readonly random: Random;
  readonly nodeId: bigint;
  /** Where we run, for people. */
  readonly owner: string;
  /** Take it from whoever has it, without waiting. */
  readonly takeOver: boolean;
  readonly memory: LeaseMemory;
}

/** So often the lease may change hands, or come and go, while we try to get it; then the caller waits and tries again. */
const acquireRounds = 8;

/** More than one, because a put whose answer was lost may still have worked. */
const rememberedNonces = 4;

interface Held {
  readonly record: LeaseRecord;
  readonly etag: string;
  /** When the request began that has shown that it is ours. */
  readonly provenMs: number;
}

/** The lease of one replica as one process sees it. */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #mutex = new Mutex();
  #held: Held | undefined;
  /** It was taken from us: for good, as far as this process is concerned. */
  #loss: HeadwaterError | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Nobody else holds the lease at this moment. */
  get isTrusted(): boolean {
    return (
      this.#held !== undefined && this.#ageMs(this.#held) < this.#held.record.ttlMs * shares.trust
    );
  }

  /**
   * Resolves when the lease is ours, as the store has said within the last moments: to be called before every put. Takes
   * it if nobody has it, waits for a holder that is silent, and throws `engine/another-writer` for one that is not, or
   * if it was taken from us.
   */
  async hold({ signal }: Waiting): Promise<void> {
    if (this.isTrusted) return;
    await this.#mutex.run(
      async () => {
        if (this.isTrusted) return;
        if (!(await this.#confirm({ signal }))) await this.#acquire({ signal });
      },
      { signal },
    );
  }

  /**
   * Holds the lease while `work` runs, and shows that we are alive although nothing may be put for a long time. If it is
   * taken from us, `work` is aborted and the error says by whom.
   */
  async during<T>(
    work: (waiting: { readonly signal: AbortSignal }) => Promise<T>,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<T> {
    await this.hold({ signal });
    const ended = new AbortController();
    const lost = new AbortController();
    const renewing = this.#keepRenewing(lost, { signal: AbortSignal.any([signal, ended.signal]) });
    try {
      return await work({ signal: AbortSignal.any([signal, lost.signal]) });
    } catch (error) {
      throw lost.signal.aborted ? lost.signal.reason : error;
    } finally {
      ended.abort();
      await renewing;
    }
  }

  /** Gives it up, so that whoever comes next need not wait. Does nothing if it is not ours. */
  async release({ signal }: Waiting): Promise<void> {
    await this.#mutex.run(
      async () => {
        if (this.#held === undefined) return;
        // Deleting has no condition, so it must follow a reading closely: until then nobody else can hold the lease.
        if (!(await this.#confirm({ signal }))) return;
        await this.#options.store.delete([leaseKey], { signal });
        this.#held = undefined;
      },
      { signal },
    );
  }

  // --- the lease we hold ------------------------------------------------------------------------------

  #ageMs({ provenMs }: Held): number {
    return this.#options.clock.monotonicMs() - provenMs;
  }

  #trust(record: LeaseRecord, etag: string, provenMs: number): void {
    const isNew = this.#held?.record.nonce !== record.nonce;
    this.#held = { record, etag, provenMs };
    if (isNew) this.#options.logger.log("debug", "lease.held", { owner: record.owner });
  }

  /** False if we have none, or if it was removed. Throws if somebody else has taken it. */
  async #confirm(waiting: Waiting): Promise<boolean> {
    const { store, clock, logger } = this.#options;
    if (this.#loss !== undefined) throw this.#loss;
    const held = this.#held;
    if (held === undefined) return false;
    const startMs = clock.monotonicMs();
    const info = await store.head(leaseKey, waiting);
    if (info?.etag === held.etag) {
      this.#trust(held.record, held.etag, startMs);
      return true;
    }
    const found = await readLease(store, waiting);
    if (found?.record?.nonce === held.record.nonce) {
      this.#trust(held.record, found.etag, startMs);
      return true;
    }
    this.#held = undefined;
    if (found !== undefined) throw (this.#loss = leaseError("was taken by", found, store.url));
    logger.log("warn", "lease.removed", { url: store.url });
    return false;
  }

  async #keepRenewing(lost: AbortController, { signal }: { signal: AbortSignal }): Promise<void> {
    const { clock, logger, ttlMs } = this.#options;
    for (;;) {
      await clock.sleep(ttlMs * shares.renew, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#mutex.run(() => this.#renew({ signal }), { signal });
      } catch (error) {
        if (signal.aborted) return;
        if (hasCode(error, "engine/another-writer")) return lost.abort(error);
        logger.log("warn", "lease.not-renewed", { error: messageOf(error) });
      }
    }
  }

  async #renew(waiting: Waiting): Promise<void> {
    const { store, clock } = this.#options;
    const { replaceIfUnchanged } = await store.features(waiting);
    if (!this.isTrusted && !(await this.#confirm(waiting))) return this.#acquire(waiting);
    const held = this.#held;
    if (held === undefined) return;
    const record = { ...held.record, renewedAtMs: clock.nowMs() };
    const putMs = clock.monotonicMs();
    const condition = replaceIfUnchanged ? { etag: held.etag } : undefined;
    const put = await putLease(store, record, { condition, ...waiting });
    const isInTime = condition !== undefined || this.#ageMs(held) < record.ttlMs * shares.settle;
    if (put.isOurs && isInTime) this.#trust(record, put.etag, putMs);
    // Without a condition a put that took so long may have replaced a holder's lease.
    else if (put.isOurs) await this.#settle(record, waiting);
    else if (!(await this.#confirm(waiting))) await this.#acquire(waiting);
  }

  // --- getting it -------------------------------------------------------------------------------------

  async #acquire(waiting: Waiting): Promise<void> {
    const { store, clock } = this.#options;
    const { createOnly } = await store.features(waiting);
    const record = this.#newRecord();
    for (let round = 0; round < acquireRounds; round++) {
      const startMs = clock.monotonicMs();
      let found: FoundLease | undefined;
      if (createOnly) {
        // As a rule there is none: then this is the only request.
        await this.#remember(record);
        const put = await putLease(store, record, { condition: "absent", ...waiting });
        if (put.isOurs) return this.#trust(record, put.etag, startMs);
        if (put.found === undefined) continue;
        found = put.found;
      } else {
        found = await readLease(store, waiting);
      }
      if (await this.#replace(found, startMs, waiting)) return;
    }
    throw new HeadwaterError(
      "store/unavailable",
      `${leaseKey} in ${store.url} changes while it is looked at. Headwater tries again; headwater lease shows it.`,
    );
  }

  /** Puts ours in the place of `found`, which was read after `startMs`. False: something came in between, look again. */
  async #replace(
    found: FoundLease | undefined,
    startMs: number,
    waiting: Waiting,
  ): Promise<boolean> {
    const { store, clock, memory, takeOver } = this.#options;
    const known = await memory.recall();
    const isOurs = found?.record !== undefined && known.includes(found.record.nonce);
    const isFree = isOurs || takeOver;
    if (!isFree && found !== undefined && !(await isSilent(found, this.#options, waiting)))
      return false;
    const record = this.#newRecord(found);
    // A nonce that is remembered needs no waiting at the next start.
    if (isFree) await this.#remember(record);
    const { replaceIfUnchanged } = await store.features(waiting);
    const condition = replaceIfUnchanged && found !== undefined ? { etag: found.etag } : undefined;
    const putMs = clock.monotonicMs();
    const put = await putLease(store, record, { condition, ...waiting });
    if (!put.isOurs) return false;
    const quickMs = (found?.record?.ttlMs ?? record.ttlMs) * shares.settle;
    // So quickly nobody can have claimed it, and waited, since we looked.
    if (isFree && clock.monotonicMs() - startMs < quickMs) {
      this.#trust(record, put.etag, putMs);
      return true;
    }
    return this.#settle(record, waiting);
  }

  /** Waits until no holder before us trusts in what it has read, then looks whether the claim is still ours. */
  async #settle(record: LeaseRecord, waiting: Waiting): Promise<boolean> {
    const { store, clock } = this.#options;
    await clock.sleep(record.ttlMs * shares.settle, waiting);
    const readMs = clock.monotonicMs();
    const found = await readLease(store, waiting);
    if (found === undefined) return false;
    if (found.record?.nonce !== record.nonce) throw leaseError("is held by", found, store.url);
    await this.#remember(record);
    this.#trust(record, found.etag, readMs);
    return true;
  }

  // --- the object -------------------------------------------------------------------------------------

  /** A lease of ours. It lasts as long as the one before it, or others would not wait for that one's holder. */
  #newRecord(before?: FoundLease): LeaseRecord {
    const { random, nodeId, owner, ttlMs, clock } = this.#options;
    const nowMs = clock.nowMs();
    return {
      nonce: toHex(random.bytes(16)),
      nodeId,
      owner,
      acquiredAtMs: nowMs,
      renewedAtMs: nowMs,
      ttlMs: Math.max(ttlMs, before?.record?.ttlMs ?? 0),
    };
  }

  async #remember({ nonce }: LeaseRecord): Promise<void> {
    const { memory } = this.#options;
    const others = (await memory.recall()).filter((known) => known !== nonce);
    await memory.remember([nonce, ...others].slice(0, rememberedNonces));
  }
}
