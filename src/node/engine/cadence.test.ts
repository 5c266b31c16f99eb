// A month on a clock of our own: the real policy and the real budget, with everything else played.
import { describe, expect, test } from "vitest";
import { silentLogger } from "../../core/base/log.ts";
import { RequestBudget, requestLimit } from "../../core/replica/request-budget.ts";
import type { BudgetLimit } from "../../core/replica/request-budget.ts";
import { addCounts, forecastRequests, monthMs } from "../../core/replica/request-forecast.ts";
import { countsOf, requestPricesAt, weigh } from "../../core/store/request-prices.ts";
import type { RequestCounts } from "../../core/store/request-prices.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { Cadence } from "./cadence.ts";
import { LevelJob } from "./level-job.ts";

const none = countsOf(() => 0);
const s3 = requestPricesAt("s3.amazonaws.com")?.usd ?? none;
const levels = [30_000, 300_000, 3_600_000];
const hourMs = 3_600_000;

const work = (): Promise<undefined> => Promise.resolve(undefined);

class Month {
  readonly clock = new VirtualClock({ isEager: true });
  readonly budget: RequestBudget;
  readonly cadence: Cadence;
  /** When each level-0 file went. */
  readonly putsAtMs: number[] = [];
  rounds = 0;
  requests: RequestCounts = none;

  constructor(limit: BudgetLimit, syncIntervalMs: number) {
    const { clock } = this;
    const forecast = forecastRequests({
      syncIntervalMs,
      levels,
      snapshotIntervalMs: 24 * hourMs,
      retentionCheckMs: 150_000,
      putsPerImage: 1,
    });
    const budget = new RequestBudget({ limit, forecast }, clock.monotonicMs());
    this.budget = budget;
    const pays = {
      msUntilPut: () => budget.msUntilPut(clock.monotonicMs()),
      putsLeft: () => budget.putsLeft(clock.monotonicMs()),
      putIntervalMs: budget.putIntervalMs,
    };
    this.cadence = new Cadence({ clock, logger: silentLogger, syncIntervalMs, budget: pays });
  }

  #pay(share: "sync" | "upkeep", given: Partial<RequestCounts>): void {
    const counts = countsOf((kind) => given[kind] ?? 0);
    this.requests = addCounts(this.requests, counts);
    for (const kind of ["put", "list", "get", "delete"] as const)
      this.budget.charge(share, kind, counts[kind], this.clock.monotonicMs());
  }

  flush(): void {
    this.cadence.noteFlush();
    this.#pay("sync", { put: 1, get: 0.1 });
    this.cadence.noteUpload();
    this.putsAtMs.push(this.clock.monotonicMs());
  }

  /** Ten commits a second until `endMs`: there is always something to flush. */
  async busyUntil(endMs: number): Promise<void> {
    const { clock } = this;
    const jobs = levels.map((intervalMs, index) => new LevelJob(`${index}`, intervalMs, work));
    while (clock.monotonicMs() < endMs) {
      if (this.cadence.msUntilFlush() <= 0) this.flush();
      if (this.budget.msUntilUpkeep(clock.monotonicMs()) <= 0) this.#round(jobs);
      const waitMs = Math.max(100, this.cadence.msUntilFlush());
      await clock.sleep(Math.min(waitMs, endMs - clock.monotonicMs()), {});
    }
  }

  /** As Levels: whatever is due, on credit. */
  #round(jobs: readonly LevelJob[]): void {
    const nowMs = this.clock.nowMs();
    for (const job of jobs) {
      job.isPending = true;
      if (job.msUntilDue(nowMs) > 0) continue;
      this.#pay("upkeep", { put: 1, list: 1, get: 12 });
      if (job === jobs[0]) this.#pay("upkeep", { list: 10, delete: 1 });
      job.noteDone(nowMs);
      this.rounds++;
    }
  }
}

describe("a month of ten commits a second", () => {
  test.for([
    ["$1 on S3, each second", { perMonth: 1, weights: s3 }, 1_000],
    ["$1 on S3, each ten seconds", { perMonth: 1, weights: s3 }, 10_000],
    ["$0.10 on S3", { perMonth: 0.1, weights: s3 }, 1_000],
    ["$50 on S3", { perMonth: 50, weights: s3 }, 1_000],
    ["100,000 requests", requestLimit(100_000), 1_000],
    ["1,000 requests", requestLimit(1_000), 30_000],
  ] as const)("stays within %s, and makes use of it", async ([, limit, syncIntervalMs]) => {
    const month = new Month(limit, syncIntervalMs);
    await month.busyUntil(monthMs);
    const used = weigh(month.requests, limit.weights);
    // The last request of a month may be one on credit: a round of levels and retention.
    const credit = weigh({ put: 3, list: 13, get: 36, delete: 1 }, limit.weights);
    expect(used).toBeLessThanOrEqual(limit.perMonth + credit);
    const isFullSpeed = month.putsAtMs.length >= (monthMs / syncIntervalMs) * 0.99;
    expect(isFullSpeed || used > limit.perMonth * 0.8).toBe(true);
    // Nobody starves.
    expect(month.rounds).toBeGreaterThan(10);
  });

  test("$1 on S3 is an upload every 20 seconds once the burst is used up", async () => {
    const month = new Month({ perMonth: 1, weights: s3 }, 1_000);
    await month.busyUntil(24 * hourMs);
    const { status } = month.cadence;
    expect(status?.isStretched).toBe(true);
    expect(Math.round((status?.intervalMs ?? 0) / 1_000)).toBe(20);
    const last = month.putsAtMs.slice(-2);
    expect((last[1] ?? 0) - (last[0] ?? 0)).toBeCloseTo(status?.intervalMs ?? 0, -3);
  });
});

test("a database with pauses goes at full speed: each working day brings an hour without a pause", async () => {
  const month = new Month({ perMonth: 1, weights: s3 }, 1_000);
  for (let day = 0; day < 31; day++) {
    const from = month.putsAtMs.length;
    await month.busyUntil(month.clock.monotonicMs() + hourMs);
    expect(month.putsAtMs.length - from).toBeGreaterThanOrEqual(3_599);
    await month.clock.sleep(23 * hourMs, {});
  }
  expect(weigh(month.requests, s3)).toBeLessThanOrEqual(1);
});

test("what cannot wait overdraws the budget, and the cadence pays it back", async () => {
  const month = new Month(requestLimit(10_000), 1_000);
  await month.busyUntil(24 * hourMs);
  for (let count = 0; count < 100; count++) month.flush();
  expect(month.cadence.status?.putsLeft).toBeLessThan(-98);
  expect(month.cadence.msUntilUpload()).toBeGreaterThan(90 * month.budget.putIntervalMs);
});

test("more than a batch is staged at once and uploaded when it can be paid", () => {
  const month = new Month(requestLimit(1_000), 1_000);
  while (month.cadence.msUntilUpload() === 0) month.flush();
  expect(month.cadence.msUntilFlush()).toBeGreaterThan(0);
  month.cadence.noteMuch();
  expect(month.cadence.msUntilFlush()).toBe(0);
  expect(month.cadence.msUntilUpload()).toBeGreaterThan(0);
  month.cadence.noteFlush();
  expect(month.cadence.msUntilFlush()).toBeGreaterThan(0);
});

test("without a budget the interval alone decides", async () => {
  const clock = new VirtualClock({ isEager: true });
  const logger = silentLogger;
  const cadence = new Cadence({ clock, logger, syncIntervalMs: 500, budget: undefined });
  expect(cadence.msUntilFlush()).toBeLessThanOrEqual(0);
  cadence.noteFlush();
  expect(cadence.msUntilFlush()).toBe(500);
  expect(cadence.msUntilUpload()).toBe(0);
  await clock.sleep(500, {});
  expect(cadence.msUntilFlush()).toBe(0);
  expect(cadence.status).toBeUndefined();
});

test("free requests are never stretched", () => {
  const b2 = requestPricesAt("s3.eu-central-003.backblazeb2.com")?.usd ?? none;
  const month = new Month({ perMonth: 1, weights: b2 }, 1_000);
  for (let count = 0; count < 100_000; count++) month.flush();
  expect(month.cadence.status?.isStretched).toBe(false);
});
