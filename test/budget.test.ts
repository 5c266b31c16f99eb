// A limit on what a replica may cost, on real engines: their clock runs faster, so that a month is minutes. What counts is
// what the store was asked for.
import { expect, test } from "vitest";
import type { Child } from "./support/children.ts";
import {
  engineReady,
  engineStatus,
  eventsOf,
  loggedEvent,
  stopEngine,
  syncEngine,
} from "./support/engine.ts";
import { Scene } from "./support/scene.ts";
import { until } from "./support/until.ts";

const monthMs = 31 * 24 * 3_600_000;

/** No levels: everything that is put is level 0. One upload in 1.5 s of a test once the burst is used up. */
const limited = {
  maxPutsPerMonth: 1_000,
  levels: [],
  clockSpeed: 2_000,
  printCalls: true,
} as const;

/** Requests that count: puts, and lists of whatever level. */
function paid(engine: Child, from = 0): number {
  return engine.lines.slice(from).filter((line) => /^store \d+ (?:put|list|copy) /u.test(line))
    .length;
}

function putsOf(engine: Child, from = 0): number {
  return engine.lines.slice(from).filter((line) => /^store \d+ put ltx\/0\//u.test(line)).length;
}

async function isStretched(engine: Child): Promise<boolean> {
  return (await engineStatus(engine)).budget?.isStretched === true;
}

/** Commits without a pause until `isEnough`. */
async function writeUntil(scene: Scene, isEnough: () => Promise<boolean> | boolean): Promise<void> {
  await until(async () => {
    await scene.app.ledger(1);
    return isEnough();
  }, 60_000);
}

test("writing without a pause: first at full speed, then no more than the budget, and nothing is lost", async () => {
  await using scene = await Scene.open();
  const startedMs = performance.now();
  const engine = scene.engine(limited);
  await engineReady(engine);
  await writeUntil(scene, () => eventsOf(engine).includes("budget.stretched"));
  const burst = putsOf(engine);
  // A tenth of the month's requests, less what starting took.
  expect(burst).toBeGreaterThan(50);
  await writeUntil(scene, () => putsOf(engine) >= burst + 4);
  const all = paid(engine);
  const elapsedMs = (performance.now() - startedMs) * limited.clockSpeed;
  const allowed = limited.maxPutsPerMonth * (0.1 + (0.9 * elapsedMs) / monthMs);
  expect(all).toBeLessThanOrEqual(allowed + 1);
  expect(await stopEngine(engine)).toBe(0);
  await scene.prove();
});

test("sync() and the last sync do not wait, and a restart does not fill the budget", async () => {
  await using scene = await Scene.open();
  // A clock as it is: with this budget nothing comes for an hour.
  const options = { ...limited, clockSpeed: 1, syncIntervalMs: 0 };
  const first = scene.engine(options);
  await engineReady(first);
  await writeUntil(scene, () => isStretched(first));
  await scene.app.ledger(1);
  const txid = await syncEngine(first);
  expect((await engineStatus(first)).replicatedThrough).toBe(String(BigInt(`0x${txid}`)));
  expect((await engineStatus(first)).budget?.putsLeft).toBeLessThan(0);
  await scene.app.ledger(3);
  expect(await stopEngine(first)).toBe(0);
  await scene.prove();

  const second = scene.engine(options);
  await engineReady(second);
  expect((await engineStatus(second)).budget?.isStretched).toBe(true);
  const before = putsOf(second);
  await scene.app.ledger(5);
  await until(async () => (await engineStatus(second)).pendingTransactions > 0);
  expect(putsOf(second)).toBe(before);
  expect(await stopEngine(second)).toBe(0);
  expect(putsOf(second)).toBe(before + 1);
  await scene.prove();
});

test("an engine that is killed has spent what it has spent, and what was committed goes up later", async () => {
  await using scene = await Scene.open();
  const options = { ...limited, clockSpeed: 1, syncIntervalMs: 0 };
  const first = scene.engine(options);
  await engineReady(first);
  await writeUntil(scene, () => isStretched(first));
  await scene.app.ledger(3);
  await first.end("SIGKILL");
  const second = scene.engine(options);
  await engineReady(second);
  // One request may have been on its way to be paid: it was not sent, and is not spent.
  expect((await engineStatus(second)).budget?.putsLeft).toBeLessThan(2);
  await syncEngine(second);
  await scene.prove();
  expect(await stopEngine(second)).toBe(0);
});

test("a large WAL is staged and checkpointed without an upload, and goes up as few requests", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...limited, clockSpeed: 1, syncIntervalMs: 0 });
  await engineReady(engine);
  await writeUntil(scene, () => isStretched(engine));
  await scene.app.exec("CREATE TABLE big(x)");
  await syncEngine(engine);
  const from = engine.lines.length;
  for (let round = 0; round < 4; round++) {
    const { txid } = await engineStatus(engine);
    await until(async () => {
      await scene.app.exec("INSERT INTO big VALUES(zeroblob(20000000))");
      return (await engineStatus(engine)).txid !== txid;
    });
  }
  expect(putsOf(engine, from)).toBe(0);
  expect(scene.staged.length).toBeGreaterThanOrEqual(4);
  expect(await loggedEvent(engine, "checkpoint.done", from)).toMatchObject({ complete: true });
  expect(putsOf(engine, from)).toBe(0);
  await syncEngine(engine);
  expect(paid(engine, from)).toBeLessThanOrEqual(4);
  expect(eventsOf(engine)).toContain("staging.merged");
  expect(await stopEngine(engine)).toBe(0);
  await scene.prove();
});

test("levels and retention wait until what they did is paid", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({
    ...limited,
    clockSpeed: 1,
    levels: [50, 150],
    syncIntervalMs: 0,
    l0RetentionMs: 50,
    retentionGraceMs: 50,
  });
  await engineReady(engine);
  const compactionsOf = async (): Promise<number> =>
    (await engineStatus(engine)).levels.compactions;
  let compactions = 0;
  let unchanged = 0;
  await writeUntil(scene, async () => {
    await syncEngine(engine);
    const now = await compactionsOf();
    unchanged = now === compactions ? unchanged + 1 : 0;
    compactions = now;
    return compactions > 5 && unchanged > 20;
  });
  // Nothing more for hours, with as much to do as before.
  const from = engine.lines.length;
  for (let count = 0; count < 40; count++) {
    await scene.app.ledger(1);
    await syncEngine(engine);
  }
  const status = await engineStatus(engine);
  expect(status.levels.compactions - compactions).toBeLessThanOrEqual(3);
  expect(paid(engine, from) - putsOf(engine, from)).toBeLessThanOrEqual(16);
  expect(status.levels.lastError).toBeUndefined();
  expect(await stopEngine(engine)).toBe(0);
  await scene.prove();
});

test("no engine asks for more than is expected of a database that is written without a pause", async () => {
  await using scene = await Scene.open();
  const options = {
    syncIntervalMs: 100,
    levels: [300, 900, 2_700],
    snapshotIntervalMs: 3_000,
    snapshotRetentionMs: 3_000,
    l0RetentionMs: 600,
    retentionGraceMs: 100,
    printCalls: true,
  };
  const startedMs = performance.now();
  const engine = scene.engine(options);
  await engineReady(engine);
  const fields = await loggedEvent(engine, "budget.expected");
  await writeUntil(scene, async () => {
    const { levels } = await engineStatus(engine);
    return levels.compactions >= 30 && levels.snapshots >= 2 && levels.deletedFiles >= 30;
  });
  const months = (performance.now() - startedMs) / monthMs;
  const count = (pattern: RegExp): number =>
    engine.lines.filter((line) => pattern.test(line)).length;
  const expected = (field: string): number => Number(fields[field]) * months;
  // Starting asks for some, and so does what the end of the span has just begun.
  expect(count(/^store \d+ (?:put|copy) /u)).toBeLessThanOrEqual(expected("putsPerMonth") + 10);
  expect(count(/^store \d+ list /u)).toBeLessThanOrEqual(expected("listsPerMonth") + 40);
  expect(count(/^store \d+ (?:get|head) /u)).toBeLessThanOrEqual(expected("getsPerMonth") + 40);
  expect(await stopEngine(engine)).toBe(0);
});

test("what is expected is told at the start, with and without a limit", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ levels: [] });
  expect(await loggedEvent(engine, "budget.expected")).toMatchObject({
    putsPerMonth: 2_678_431,
    usdPerMonth: 0,
    provider: "a directory",
  });
  await engineReady(engine);
  expect((await engineStatus(engine)).budget).toBeUndefined();
  expect(await stopEngine(engine)).toBe(0);
});
