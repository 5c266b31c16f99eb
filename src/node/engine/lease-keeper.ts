// The lease of one replica as an engine keeps it: what a restart needs to know lies in the state directory, and a store
// that lets us write LTX files but no lease is told about once and then left without one.
import { hostname } from "node:os";
import type { Clock } from "../../core/base/clock.ts";
import { hasCode, messageOf } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Random } from "../../core/base/random.ts";
import { listLevel } from "../../core/replica/catalog.ts";
import type { ReplicaLayout } from "../../core/replica/layout.ts";
import { leaseKey } from "../../core/replica/lease-object.ts";
import { Lease } from "../../core/replica/lease.ts";
import { leaseShares } from "../../core/replica/lease-watch.ts";
import type { LeaseMemory } from "../../core/replica/lease.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { BriefWake } from "./brief-wake.ts";
import { encodeJson, readJson, replaceFile } from "./durable-file.ts";
import { warnOfLitestreamLock } from "./litestream-lock.ts";
import { replicaFileStem } from "./replica-record.ts";
import type { StateOwnership } from "./state-directory.ts";
import type { Waiting } from "./waiting.ts";

export interface LeaseKeeperOptions {
  readonly store: ObjectStore;
  readonly layout: ReplicaLayout;
  readonly stateDirectory: string;
  readonly ownership: StateOwnership;
  /** The replica's URL without secrets. */
  readonly url: string;
  readonly nodeId: bigint;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly fileSystem: FileSystem;
  /** 0 = no lease. */
  readonly ttlMs: number;
  readonly takeOver: boolean;
  /** A single pass: somebody else's lease is an error at once. */
  readonly once: boolean;
  readonly brief: BriefWake;
}

/** Giving the lease up at the end must not keep anybody waiting for a store that does not answer. */
const releaseLimitMs = 5_000;

/** The lease of a replica. Makes no request before it is needed. */
export function openLease(options: LeaseKeeperOptions): LeaseKeeper {
  const { store, layout, once, ttlMs } = options;
  const owner = `${hostname()}:${process.pid}`;
  const activity = async (waiting: {
    readonly signal?: AbortSignal | undefined;
  }): Promise<string> => (await listLevel(store, layout, 0, waiting)).at(-1)?.key ?? "";
  const memory = leaseMemoryIn(options);
  const lease = new Lease({ ...options, owner, mayWait: !once, memory, activity });
  return new LeaseKeeper(ttlMs === 0 ? undefined : lease, options);
}

export class LeaseKeeper implements AsyncDisposable {
  #lease: Lease | undefined;
  #isHeld = false;
  /** When the request began that has shown that nobody holds it. */
  #freeAtMs = Number.NEGATIVE_INFINITY;
  readonly #options: LeaseKeeperOptions;

  constructor(lease: Lease | undefined, options: LeaseKeeperOptions) {
    this.#lease = lease;
    this.#options = options;
  }

  /** Resolves when the replica is ours to write. Throws `engine/another-writer`. */
  async hold({ signal }: Waiting): Promise<void> {
    try {
      await this.#lease?.hold({ signal });
      this.#isHeld = true;
    } catch (error) {
      this.#doWithout(error);
    }
  }

  /**
   * As `hold`, for a put whose name fences it: for a database that is awake for a moment it is enough that nobody holds
   * the lease, which costs one look; taking it and giving it up again would cost two requests more, one of them a put.
   */
  async holdOrSeeFree({ signal }: Waiting): Promise<void> {
    const { store, clock, ttlMs, brief } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#lease === undefined || this.#isHeld || nowMs >= brief.leaseFromMs)
      return this.hold({ signal });
    if (nowMs - this.#freeAtMs < ttlMs * leaseShares.trust) return;
    try {
      if ((await store.head(leaseKey, { signal })) !== undefined)
        return await this.hold({ signal });
      this.#freeAtMs = nowMs;
    } catch (error) {
      this.#doWithout(error);
    }
  }

  /** Does `work` with the lease held and renewed; it is aborted if the lease is taken from us. */
  async during<T>(work: (waiting: Waiting) => Promise<T>, { signal }: Waiting): Promise<T> {
    await this.hold({ signal });
    await warnOfLitestreamLock(this.#options, { signal });
    return this.#lease === undefined ? work({ signal }) : this.#lease.during(work, { signal });
  }

  /** Gives the lease up if it is ours. Never throws: others can wait. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#lease?.release({ signal: AbortSignal.timeout(releaseLimitMs) });
    } catch (error) {
      this.#options.logger.log("debug", "lease.not-released", { error: messageOf(error) });
    }
  }

  /** LTX files are created, never replaced: without a lease two writers collide later, and are stopped all the same. */
  #doWithout(error: unknown): void {
    if (!hasCode(error, "store/denied", "store/failed")) throw error;
    const { logger, store } = this.#options;
    this.#lease = undefined;
    logger.log("warn", "lease.unavailable", {
      error: error.message,
      hint:
        `allow reading, writing and deleting ${leaseKey} in ${store.url}, or set lease: false; ` +
        "until then a second writer is found only when both put the same file",
    });
  }
}

/** Nonces in `replicas/<hash of URL>.lease`. Losing them costs a wait at the next start, and nothing else. */
function leaseMemoryIn(options: LeaseKeeperOptions): LeaseMemory {
  const { fileSystem, ownership, logger } = options;
  const path = `${replicaFileStem(options)}.lease`;
  let nonces: readonly string[] | undefined;
  return {
    recall: async () => {
      if (nonces !== undefined) return nonces;
      const value = await readJson(fileSystem, path).catch(() => undefined);
      const listed: unknown = value?.["nonces"];
      nonces = Array.isArray(listed) ? listed.filter((one) => typeof one === "string") : [];
      return nonces;
    },
    remember: async (all) => {
      nonces = all;
      const bytes = encodeJson({ nonces });
      try {
        await replaceFile(fileSystem, path, bytes, { ownership: ownership.file });
      } catch (error) {
        logger.log("warn", "lease.not-remembered", { error: messageOf(error) });
      }
    },
  };
}
