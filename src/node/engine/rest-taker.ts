// When a database may be put to rest: nothing has happened for a while, and nothing is left to do.
import { msUntilUpkeep } from "./brief-wake.ts";
import type { HistoryHead } from "./history.ts";
import type { LitestreamWatch } from "./litestream-beside.ts";
import type { EngineParts } from "./parts.ts";
import type { ReplicaSet } from "./replica-set.ts";
import { recordRest, restDueAtMs } from "./rest-record.ts";
import type { RestRecord } from "./rest-record.ts";
import type { Stager } from "./stager.ts";
import type { StagingKeeper } from "./staging-keeper.ts";
import type { Waiting } from "./waiting.ts";

export interface RestRequest extends Waiting {
  readonly quietMs: number;
  /** See `RestRecord`. */
  readonly purpose: string;
}

/** What of an engine it asks. */
interface Restless {
  readonly stager: Stager;
  readonly replicas: ReplicaSet;
  readonly keeper: StagingKeeper;
  readonly litestream: LitestreamWatch;
}

export class RestTaker {
  readonly #parts: EngineParts;
  readonly #engine: Restless;
  /** An earlier engine has left something of the levels to do. */
  #hasLeftLevels: boolean;
  /** When something was last seen to change. */
  #newsAtMs: number;

  constructor(parts: EngineParts, engine: Restless) {
    this.#parts = parts;
    this.#engine = engine;
    const { endedRest, clock } = parts;
    this.#hasLeftLevels = endedRest?.hasDueLevels === true;
    this.#newsAtMs =
      endedRest?.isUndisturbed === true ? Number.NEGATIVE_INFINITY : clock.monotonicMs();
  }

  /** Something has changed. */
  noteNews(): void {
    this.#newsAtMs = this.#parts.clock.monotonicMs();
  }

  /**
   * Writes down what the files are like if nothing has happened for `quietMs`, the replicas have everything and the
   * database file alone holds it. `undefined` if it is not so. Replication goes on.
   */
  async take(
    { quietMs, purpose, signal }: RestRequest,
    isReady: () => boolean,
  ): Promise<RestRecord | undefined> {
    const { stager, replicas, keeper } = this.#engine;
    if (this.#hasLeftLevels && msUntilUpkeep(this.#parts) === 0) {
      // Not before: what has woken the database goes first.
      this.#hasLeftLevels = false;
      replicas.noteLeftLevels();
      return undefined;
    }
    const isQuiet = (): boolean => isReady() && this.#isQuiet(quietMs);
    const found = isQuiet() ? await stager.restFacts({ signal }) : undefined;
    if (found === undefined || !isQuiet()) return undefined;
    const { levelsMs, verificationMs } = replicas.untilUpkeep;
    const dueAtMs = this.#dueAtMs(Math.min(levelsMs, verificationMs));
    const hasDueLevels = this.#hasLeftLevels || Number.isFinite(levelsMs);
    await keeper.trySave();
    return recordRest(this.#parts, { ...found, purpose, dueAtMs, hasDueLevels });
  }

  /** What an earlier rest had left to do, and this engine has not done, is not put off any further. */
  #dueAtMs(dueMs: number): number | undefined {
    const isLeft = msUntilUpkeep(this.#parts) > 0;
    const leftAtMs = isLeft ? this.#parts.endedRest?.dueAtMs : undefined;
    const dueAtMs = restDueAtMs(this.#parts, dueMs);
    if (leftAtMs === undefined || dueAtMs === undefined) return leftAtMs ?? dueAtMs;
    return Math.min(leftAtMs, dueAtMs);
  }

  #isQuiet(quietMs: number): boolean {
    const { history, staging, clock } = this.#parts;
    const { stager, replicas, litestream } = this.#engine;
    const { head, table } = history;
    if (head === undefined || table === undefined || !isAtHead(head, staging.newest)) return false;
    if (stager.pending > 0 || staging.images.waiting !== undefined || litestream.isThere)
      return false;
    if (clock.monotonicMs() - this.#newsAtMs < quietMs) return false;
    return replicas.isIdleFor(quietMs, head.txid);
  }
}

function isAtHead({ txid }: HistoryHead, newest: { readonly txid: bigint } | undefined): boolean {
  return newest?.txid === txid;
}
