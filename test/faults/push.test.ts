// What following by push does to an engine: files are staged soon, uploads stay what they are, and what a follower has seen
// is never taken back.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Child } from "../support/children.ts";
import {
  engineReady,
  engineStatus,
  eventsOf,
  loggedEvent,
  stopEngine,
  syncEngine,
  tellEngine,
} from "../support/engine.ts";
import type { EngineChildOptions } from "../support/engine.ts";
import { Scene } from "../support/scene.ts";
import { secondHistory, twoReplicas } from "../support/two-replicas.ts";
import { until } from "../support/until.ts";

/** TXIDs that were pushed so far, with the digests of their files. */
function pushedBy(engine: Child): ReadonlyMap<string, string> {
  const lines = engine.lines.filter((line) => line.startsWith("pushed "));
  return new Map(lines.map((line) => [line.split(" ")[1] ?? "", line.split(" ")[2] ?? ""]));
}

/** Calls to stores of one kind, with what they were about. */
function callsTo(engine: Child, operation: string): readonly string[] {
  const match = new RegExp(`^store \\d+ ${operation} (?<key>.*)$`, "u");
  return engine.lines.flatMap((line) => match.exec(line)?.groups?.["key"] ?? []);
}

const levelZero = (key: string): boolean => key.startsWith("ltx/0/");

/** A file of several TXIDs. */
const isWide = (key: string): boolean => levelZero(key) && key.slice(6, 22) !== key.slice(23, 39);

/** Commits about ten times a second, with followers each when the one before was pushed; how long it took in sync intervals. */
async function writeFor(
  scene: Scene,
  options: Partial<EngineChildOptions>,
): Promise<{
  readonly engine: Child;
  readonly intervals: number;
  readonly transactions: number;
}> {
  const syncIntervalMs = 2000;
  const engine = scene.engine({ levels: [], printCalls: true, syncIntervalMs, ...options });
  await engineReady(engine);
  await syncEngine(engine);
  const from = performance.now();
  const transactions = 40;
  for (let n = 0; n < transactions; n++) {
    const pushed = pushedBy(engine).size;
    await scene.app.ledger(1);
    await pause(100);
    if (options.followed === true) await until(() => pushedBy(engine).size > pushed);
  }
  const intervals = Math.ceil((performance.now() - from) / syncIntervalMs);
  await syncEngine(engine);
  return { engine, intervals, transactions };
}

test("a followed database costs one more put for each sync interval, however often it is staged", async () => {
  await using scene = await Scene.open();
  const { engine, intervals, transactions } = await writeFor(scene, { followed: true });
  const staged = eventsOf(engine).filter((event) => event === "ltx.staged").length;
  expect(pushedBy(engine).size).toBeGreaterThanOrEqual(transactions);
  expect(staged).toBeGreaterThanOrEqual(transactions);
  const puts = callsTo(engine, "put").filter(levelZero);
  // The first ones, and the last sync.
  expect(puts.length).toBeLessThanOrEqual(2 * (intervals + 1) + 4);
  expect(puts.some(isWide)).toBe(true);
  expect(callsTo(engine, "list").filter((key) => levelZero(key)).length).toBeLessThanOrEqual(2);
  expect(await stopEngine(engine)).toBe(0);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("without a follower each sync interval is one file and one put, as ever", async () => {
  await using scene = await Scene.open();
  const { engine, intervals } = await writeFor(scene, {});
  const staged = eventsOf(engine).filter((event) => event === "ltx.staged").length;
  const puts = callsTo(engine, "put").filter(levelZero);
  expect(staged).toBeLessThanOrEqual(intervals + 4);
  expect(puts.length).toBeLessThanOrEqual(intervals + 4);
  expect(puts.some(isWide)).toBe(false);
  expect(await stopEngine(engine)).toBe(0);
});

test("two replicas of a followed database get the same history", async () => {
  await using scene = await Scene.open();
  const { engine, intervals } = await writeFor(scene, {
    followed: true,
    ...twoReplicas(scene).both,
  });
  const puts = callsTo(engine, "put").filter(levelZero);
  expect(puts.length).toBeLessThanOrEqual(2 * 3 * (intervals + 1) + 8);
  expect(await stopEngine(engine)).toBe(0);
  const [first, second] = [await scene.prove(), await secondHistory(scene)];
  expect(second.at(-1)?.sha256).toBe(first.at(-1)?.sha256);
});

test("what a follower has seen is there after a kill, byte for byte, though nothing of it was uploaded", async () => {
  await using scene = await Scene.open();
  const options = { levels: [], syncIntervalMs: 3_600_000, followed: true };
  const engine = scene.engine(options);
  await engineReady(engine);
  await syncEngine(engine);
  for (let n = 1; n <= 4; n++) {
    await scene.app.ledger(1);
    await until(() => pushedBy(engine).size >= n);
  }
  await engine.end("SIGKILL");
  const seen = pushedBy(engine);
  const onDisk = (txid: string): string | undefined => {
    const path = join(scene.stateDirectory, "ltx", "0", `${txid}.ltx`);
    if (!existsSync(path)) return undefined;
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  };
  for (const [txid, digest] of seen) expect(onDisk(txid)).toBe(digest);
  const next = scene.engine(options);
  await engineReady(next);
  // Or in the replica already, as part of a wide file.
  for (const [txid, digest] of seen) expect([digest, undefined]).toContain(onDisk(txid));
  const { txid } = await engineStatus(next);
  expect(BigInt(txid ?? 0)).toBeGreaterThanOrEqual(BigInt(`0x${[...seen.keys()].at(-1)}`));
  await syncEngine(next);
  expect(eventsOf(next)).not.toContain("staging.set-aside");
  expect(await stopEngine(next)).toBe(0);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("followers go on while the store is away, and what waits for it is merged", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({
    levels: [],
    syncIntervalMs: 200,
    followed: true,
    printCalls: true,
  });
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "fail");
  const before = callsTo(engine, "put").length;
  for (let n = 1; n <= 12; n++) {
    await scene.app.ledger(1);
    await until(() => pushedBy(engine).size >= n);
  }
  await loggedEvent(engine, "replica.failed");
  const told = engine.lines.filter((line) => line.startsWith("told ")).length;
  await tellEngine(engine, "heal");
  await syncEngine(engine);
  await until(() => engine.lines.filter((line) => line.startsWith("told ")).length > told);
  expect(callsTo(engine, "put").length).toBeGreaterThan(before);
  expect(eventsOf(engine)).not.toContain("staging.set-aside");
  expect(await stopEngine(engine)).toBe(0);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test.each(["before", "after"] as const)(
  "an engine that dies %s the put of a wide file goes on with the files that it had",
  async (when) => {
    await using scene = await Scene.open();
    const options = { levels: [], syncIntervalMs: 1000, followed: true };
    const engine = scene.engine({ ...options, printCalls: true });
    await engineReady(engine);
    await syncEngine(engine);
    // Writes until it is in the middle of putting a wide one, then dies there and then.
    for (let n = 0; n < 600 && !callsTo(engine, "put").some(isWide); n++) {
      await scene.app.ledger(1);
      await pause(30);
    }
    expect(callsTo(engine, "put").some(isWide)).toBe(true);
    if (when === "after") await syncEngine(engine);
    await engine.end("SIGKILL");
    await scene.app.ledger(2);
    const next = scene.engine(options);
    await engineReady(next);
    await syncEngine(next);
    expect(eventsOf(next)).not.toContain("staging.set-aside");
    expect(await stopEngine(next)).toBe(0);
    await expect(scene.prove()).resolves.not.toHaveLength(0);
  },
);
