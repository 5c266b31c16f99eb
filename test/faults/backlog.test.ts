// More staged files than can be put one by one: the store was away, or commits are staged faster than it takes them. What
// waits goes up as wide files and the newest as a single one; nothing is lost, and what a sync has named can be restored.
import { expect, test } from "vitest";
import { parseLtxName } from "../../src/core/ltx/file-name.ts";
import type { Child } from "../support/children.ts";
import {
  engineReady,
  eventsOf,
  loggedEvent,
  stopEngine,
  syncEngine,
  tellEngine,
} from "../support/engine.ts";
import type { EngineChildOptions } from "../support/engine.ts";
import { replicaFiles } from "../support/history-check.ts";
import { Scene } from "../support/scene.ts";
import { proveBoth, twoReplicas } from "../support/two-replicas.ts";
import { until } from "../support/until.ts";

const options = { levels: [], syncIntervalMs: 0, printCalls: true } as const;

/** More than are put one by one, twice. */
const commits = 40;

/** A put takes much longer than staging. */
const slow = { throttleBytesPerSecond: 3_000 };

/** Level-0 files that the store was asked to take. */
function putsOf(engine: Child, from = 0): readonly string[] {
  return engine.lines
    .slice(from)
    .flatMap((line) => /^store \d+ put (?<key>ltx\/0\/.*)$/u.exec(line)?.groups?.["key"] ?? []);
}

function isWide(key: string): boolean {
  const range = parseLtxName(key.slice("ltx/0/".length));
  return range !== undefined && range.minTxid < range.maxTxid;
}

/** An engine whose store is away, with a file for each of many commits. */
async function withBacklog(scene: Scene, more: Partial<EngineChildOptions> = {}): Promise<Child> {
  const engine = scene.engine({ ...options, ...more });
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "fail");
  await commitEach(scene, commits);
  return engine;
}

/** Commits so that each is staged by itself. */
async function commitEach(
  scene: Scene,
  count: number,
  commit: () => Promise<unknown> = () => scene.app.ledger(1),
): Promise<void> {
  for (let n = 0; n < count; n++) {
    const newest = scene.staged.at(-1);
    await commit();
    await until(() => scene.staged.at(-1) !== newest);
  }
}

test("what waits for a store that was away goes up as few files, and its sync names a restore point", async () => {
  await using scene = await Scene.open();
  const engine = await withBacklog(scene, { clockSpeed: 20 });
  const synced = syncEngine(engine);
  await loggedEvent(engine, "replica.failed");
  const from = engine.lines.length;
  await tellEngine(engine, "heal");
  const txid = await synced;
  const puts = putsOf(engine, from);
  // The one that had been tried before, a wide one, and what was staged since that was made.
  expect(new Set(puts).size).toBeLessThanOrEqual(2 + 16);
  expect(puts.some(isWide)).toBe(true);
  expect(eventsOf(engine)).toContain("staging.merged");
  expect(await stopEngine(engine)).toBe(0);
  const points = await scene.prove();
  expect(points.map((point) => point.txid)).toContain(txid);
  const newest = (await replicaFiles(scene.replica)).findLast((file) => file.level === 0);
  expect(newest?.minTxid).toBe(newest?.maxTxid);
});

test("what would be one large file becomes several", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...options, clockSpeed: 20 });
  await engineReady(engine);
  await scene.app.exec("CREATE TABLE noise(x)");
  await syncEngine(engine);
  await tellEngine(engine, "fail");
  await commitEach(scene, 30, () =>
    scene.app.exec("INSERT INTO noise VALUES(randomblob(1000000))"),
  );
  await tellEngine(engine, "heal");
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  const files = (await replicaFiles(scene.replica)).filter(({ key }) => isWide(key));
  expect(files.length).toBeGreaterThan(1);
  for (const { sizeBytes } of files) expect(sizeBytes).toBeLessThanOrEqual(16 * 1024 * 1024);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("a few files that had to wait are put as they are", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...options, clockSpeed: 20 });
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "fail");
  await commitEach(scene, 8);
  await tellEngine(engine, "heal");
  await syncEngine(engine);
  expect(putsOf(engine).some(isWide)).toBe(false);
  expect(await stopEngine(engine)).toBe(0);
  expect((await scene.prove()).length).toBeGreaterThan(8);
});

test("two replicas that are behind get the same few files, though each is always reading", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({
    ...options,
    ...twoReplicas(scene).both,
    ...slow,
  });
  await engineReady(engine);
  await syncEngine(engine);
  const from = engine.lines.length;
  await commitEach(scene, commits);
  await syncEngine(engine);
  const puts = putsOf(engine, from);
  expect(puts.length).toBeLessThan(commits);
  expect(puts.some(isWide)).toBe(true);
  expect(eventsOf(engine).slice(from)).not.toContain("replica.adopted");
  expect(await stopEngine(engine)).toBe(0);
  await proveBoth(scene);
});

test.each(["before", "after"] as const)(
  "an engine that dies %s the put of the wide file goes on with the files that it had",
  async (when) => {
    await using scene = await Scene.open();
    const engine = await withBacklog(scene, slow);
    await tellEngine(engine, "heal");
    engine.send("sync unanswered");
    await engine.line((line) => line.includes(" put ltx/0/") && isWide(line.split(" ")[3] ?? ""));
    const wide = putsOf(engine).find(isWide) ?? "";
    if (when === "after") {
      // It is put, and nobody writes down that it is.
      await tellEngine(engine, "break EIO replicas/");
      await until(async () =>
        (await replicaFiles(scene.replica)).some(({ key }) => key.endsWith(wide)),
      );
    }
    await engine.end("SIGKILL");
    await scene.app.ledger(2);
    const next = scene.engine(options);
    await engineReady(next);
    await syncEngine(next);
    expect(putsOf(next)).toContain(wide);
    expect(eventsOf(next)).not.toContain("replica.adopted");
    expect(await stopEngine(next)).toBe(0);
    await expect(scene.prove()).resolves.not.toHaveLength(0);
  },
);
