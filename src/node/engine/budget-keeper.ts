// What a replica may cost, kept over restarts: `budget-<hash of URL>.json` in the state directory says how full the
// buckets were, and when. It is written before a request is sent, so that an engine that dies over and over spends
// nothing it does not know of. It is not synced to the disk: a power cut may bring back what was saved up, once.
import { join } from "node:path";
import { Mutex } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { messageOf } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Logger } from "../../core/base/log.ts";
import { RequestBudget } from "../../core/replica/request-budget.ts";
import type { BudgetLevels, BudgetLimit, BudgetShare } from "../../core/replica/request-budget.ts";
import type { RequestForecast } from "../../core/replica/request-forecast.ts";
import { createMeteredStore } from "../../core/store/metered-store.ts";
import type { Meter } from "../../core/store/metered-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { PutBudget } from "./cadence.ts";
import { encodeJson, readJson, replaceFile } from "./durable-file.ts";
import type { ExpectedCost } from "./expected-cost.ts";
import { replicaHash } from "./replica-record.ts";
import type { StateOwnership } from "./state-directory.ts";

export interface BudgetKeeperOptions {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stateDirectory: string;
  readonly ownership: StateOwnership;
  /** The replica's URL without secrets. */
  readonly url: string;
  readonly limit: BudgetLimit;
  readonly forecast: RequestForecast;
  /** Larger objects go up in parts of this size. */
  readonly partSizeBytes: number;
}

export class BudgetKeeper {
  readonly #options: BudgetKeeperOptions;
  readonly #path: string;
  readonly #budget: RequestBudget;
  readonly #saving = new Mutex();
  #isSaved = true;
  #cannotSave = false;

  private constructor(options: BudgetKeeperOptions, path: string, budget: RequestBudget) {
    this.#options = options;
    this.#path = path;
    this.#budget = budget;
  }

  /** A file that is missing or damaged means full buckets. */
  static async open(options: BudgetKeeperOptions): Promise<BudgetKeeper> {
    const { fileSystem, clock, stateDirectory, url, limit, forecast } = options;
    const path = join(stateDirectory, `budget-${replicaHash(url)}.json`);
    const value = await readJson(fileSystem, path).catch(() => undefined);
    const levels = value && levelsIn(value, clock.nowMs());
    const budget = new RequestBudget({ limit, forecast, levels }, clock.monotonicMs());
    return new BudgetKeeper(options, path, budget);
  }

  /** For the store that `share` pays. */
  meterOf(share: BudgetShare): Meter {
    const { clock, partSizeBytes } = this.#options;
    return {
      partSizeBytes,
      count: (kind, requests) => {
        this.#budget.charge(share, kind, requests, clock.monotonicMs());
        return this.#save();
      },
    };
  }

  /** How long until one more level-0 file can be paid, ms. */
  msUntilPut(): number {
    return this.#budget.msUntilPut(this.#options.clock.monotonicMs());
  }

  /** How long until levels, images and retention may go on, ms. */
  msUntilUpkeep(): number {
    return this.#budget.msUntilUpkeep(this.#options.clock.monotonicMs());
  }

  putsLeft(): number {
    return this.#budget.putsLeft(this.#options.clock.monotonicMs());
  }

  get putIntervalMs(): number {
    return this.#budget.putIntervalMs;
  }

  /** Without it the engine goes on: a budget is no reason not to replicate. */
  async #save(): Promise<void> {
    const { fileSystem, clock, ownership, url, logger } = this.#options;
    this.#isSaved = false;
    await this.#saving.run(async () => {
      // Whoever waited with us has saved it.
      if (this.#isSaved) return;
      this.#isSaved = true;
      const { sync, upkeep } = this.#budget.levels(clock.monotonicMs());
      const value = { url, at: new Date(clock.nowMs()).toISOString(), sync, upkeep };
      try {
        await replaceFile(fileSystem, this.#path, encodeJson(value), { ownership: ownership.file });
        this.#cannotSave = false;
      } catch (error) {
        if (!this.#cannotSave)
          logger.log("warn", "budget.not-saved", { path: this.#path, error: messageOf(error) });
        this.#cannotSave = true;
      }
    });
  }
}

/** The keeper of the limit; `undefined` if there is none. */
export async function openBudget(
  { limit, fullSpeed, partSizeBytes }: ExpectedCost,
  options: Omit<BudgetKeeperOptions, "limit" | "forecast" | "partSizeBytes">,
): Promise<BudgetKeeper | undefined> {
  if (limit === undefined) return undefined;
  return BudgetKeeper.open({ ...options, limit, forecast: fullSpeed, partSizeBytes });
}

/** What staging goes by: the replica that can be paid soonest. `undefined`: one of them has no limit. */
export function commonBudget(budgets: readonly (PutBudget | undefined)[]): PutBudget | undefined {
  const limited = budgets.filter((budget) => budget !== undefined);
  if (limited.length < budgets.length) return undefined;
  return {
    msUntilPut: () => Math.min(...limited.map((budget) => budget.msUntilPut())),
    putsLeft: () => Math.max(...limited.map((budget) => budget.putsLeft())),
    putIntervalMs: Math.min(...limited.map(({ putIntervalMs }) => putIntervalMs)),
  };
}

/** One store, paid by each share. */
export function meteredStores(
  store: ObjectStore,
  budget: BudgetKeeper | undefined,
): { readonly store: ObjectStore; readonly upkeepStore: ObjectStore } {
  if (budget === undefined) return { store, upkeepStore: store };
  return {
    store: createMeteredStore(store, budget.meterOf("sync")),
    upkeepStore: createMeteredStore(store, budget.meterOf("upkeep")),
  };
}

/** As saved, and what has come since. A clock that was set back has brought nothing. */
function levelsIn(
  value: Readonly<Record<string, unknown>>,
  nowMs: number,
): BudgetLevels | undefined {
  const { at, sync, upkeep } = value;
  const atMs = typeof at === "string" ? Date.parse(at) : Number.NaN;
  if (Number.isNaN(atMs) || typeof sync !== "number" || typeof upkeep !== "number")
    return undefined;
  return RequestBudget.refilled({ sync, upkeep }, nowMs - atMs);
}
