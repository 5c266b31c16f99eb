import { writeFileSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import type { TemporaryDirectory } from "../../../test/support/temporary.ts";
import { requestLimit } from "../../core/replica/request-budget.ts";
import { forecastRequests } from "../../core/replica/request-forecast.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { BudgetKeeper } from "./budget-keeper.ts";
import type { BudgetKeeperOptions } from "./budget-keeper.ts";
import { ownershipOf } from "./state-directory.ts";

const startMs = 1_700_000_000_000;
const hourMs = 3_600_000;

/** A keeper of 20,000 requests a month, in a process that starts at `atMs` of the wall clock. */
function open(
  directory: TemporaryDirectory,
  { atMs = startMs, ...options }: Partial<BudgetKeeperOptions> & { atMs?: number } = {},
): Promise<BudgetKeeper> {
  return BudgetKeeper.open({
    fileSystem: nodeFileSystem,
    clock: new VirtualClock({ startMs: atMs }),
    logger: { log: () => undefined },
    stateDirectory: directory.path,
    ownership: ownershipOf(directory.path),
    url: "s3://bucket/app",
    limit: requestLimit(20_000),
    forecast: forecastRequests({
      syncIntervalMs: 1_000,
      levels: [30_000],
      snapshotIntervalMs: 24 * hourMs,
      retentionCheckMs: 150_000,
      putsPerImage: 1,
    }),
    partSizeBytes: Number.POSITIVE_INFINITY,
    ...options,
  });
}

test("a restart does not fill the buckets; the time in between does", async () => {
  using directory = temporaryDirectory();
  const first = await open(directory);
  expect(first.putsLeft()).toBe(1_500);
  await first.meterOf("sync").count("put", 1_500);
  await first.meterOf("upkeep").count("list", 600);
  for (let restart = 0; restart < 5; restart++) {
    const again = await open(directory);
    expect(again.putsLeft()).toBeCloseTo(0);
    expect(again.msUntilPut()).toBeCloseTo(first.putIntervalMs, -1);
    expect(again.msUntilUpkeep()).toBeGreaterThan(0);
  }
  const later = await open(directory, { atMs: startMs + hourMs });
  expect(later.putsLeft()).toBeCloseTo(hourMs / first.putIntervalMs);
  const muchLater = await open(directory, { atMs: startMs + 1_000 * hourMs });
  expect(muchLater.putsLeft()).toBe(1_500);
});

test("a wall clock that was set back fills nothing, and what is owed stays owed", async () => {
  using directory = temporaryDirectory();
  const first = await open(directory);
  await first.meterOf("sync").count("put", 1_600);
  const back = await open(directory, { atMs: startMs - 48 * hourMs });
  expect(back.putsLeft()).toBeCloseTo(-100);
  await back.meterOf("sync").count("put", 1);
  const forth = await open(directory, { atMs: startMs - 48 * hourMs });
  expect(forth.putsLeft()).toBeCloseTo(-101);
});

test("another limit keeps how full the buckets are", async () => {
  using directory = temporaryDirectory();
  const first = await open(directory);
  await first.meterOf("sync").count("put", 750);
  const wider = await open(directory, { limit: requestLimit(40_000) });
  expect(wider.putsLeft()).toBeCloseTo(1_500);
});

test("each replica has a file of its own, without secrets and without a remainder", async () => {
  using directory = temporaryDirectory();
  const one = await open(directory);
  const two = await open(directory, { url: "s3://bucket/other" });
  await Promise.all([
    ...Array.from({ length: 10 }, () => one.meterOf("sync").count("list", 1)),
    two.meterOf("sync").count("put", 1),
  ]);
  const names = readdirSync(directory.path);
  expect(names).toHaveLength(2);
  for (const name of names) expect(name).toMatch(/^budget-[0-9a-f]{16}\.json$/u);
  expect((await open(directory)).putsLeft()).toBeCloseTo(1_490);
});

test("it is written before the request is sent", async () => {
  using directory = temporaryDirectory();
  const keeper = await open(directory);
  await keeper.meterOf("sync").count("put", 1);
  const [name = ""] = readdirSync(directory.path);
  expect(readFileSync(directory.file(name), "utf8")).toContain('"sync": 0.999');
});

test.for(["", "{", "[]", '{"at":"yesterday","sync":0,"upkeep":0}', '{"at":1,"sync":"x"}'])(
  "a file that holds %j counts as none",
  async (text) => {
    using directory = temporaryDirectory();
    await (await open(directory)).meterOf("sync").count("put", 1_500);
    const [name = ""] = readdirSync(directory.path);
    writeFileSync(directory.file(name), text);
    expect((await open(directory)).putsLeft()).toBe(1_500);
  },
);

test("a disk that takes nothing stops no request, and is told once until it is mended", async () => {
  using directory = temporaryDirectory();
  let isFull = true;
  const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ name }) =>
    isFull && name === "file.write" ? "ENOSPC" : undefined,
  );
  const events: string[] = [];
  const logger = { log: (_level: string, event: string) => void events.push(event) };
  const keeper = await open(directory, { fileSystem, logger });
  const meter = keeper.meterOf("sync");
  await meter.count("put", 1);
  await meter.count("put", 1);
  expect(events).toEqual(["budget.not-saved"]);
  expect(keeper.putsLeft()).toBe(1_498);
  isFull = false;
  await meter.count("put", 1);
  expect((await open(directory)).putsLeft()).toBeCloseTo(1_497);
});
