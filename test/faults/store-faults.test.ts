// A store that loses replies, cuts uploads and goes away: never a hole, never two contents under one name.
import { expect, test } from "vitest";
import type { StoreFault } from "../../src/core/testing/faulty-store.ts";
import {
  engineReady,
  engineStatus,
  loggedEvent,
  stopEngine,
  syncEngine,
  tellEngine,
} from "../support/engine.ts";
import { replicaFiles } from "../support/history-check.ts";
import { Scene } from "../support/scene.ts";
import { until } from "../support/until.ts";

const faults: readonly (readonly [string, StoreFault])[] = [
  ["replies are lost", { kind: "lose-reply" }],
  ["uploads are cut", { kind: "cut", afterBytes: 200 }],
  ["nothing arrives", { kind: "fail" }],
];

test.each(faults)(
  "%s for many puts: every TXID gets there once, none is missing",
  async (_name, fault) => {
    await using scene = await Scene.open();
    const engine = scene.engine({
      syncIntervalMs: 0,
      clockSpeed: 50,
      storeFault: { fault, operations: ["put"], fromCall: 1, calls: 25 },
    });
    await engineReady(engine);
    for (let i = 0; i < 5; i++) {
      const seq = await scene.app.ledger(1);
      const txid = await syncEngine(engine);
      const point = (await scene.history()).find((one) => one.txid === txid);
      expect(point?.seq, "a sync resolves when what it promises is there").toBeGreaterThanOrEqual(
        seq,
      );
    }
    await scene.prove();
    const singles = (await replicaFiles(scene.replica)).filter((file) => file.level === 0);
    expect(singles.map((file) => file.minTxid)).toEqual(
      singles.map((_file, i) => BigInt(i) + (singles[0]?.minTxid ?? 0n)),
    );
  },
);

test("a store that is away for a while: commits go on being staged, a sync waits, then all arrives", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ syncIntervalMs: 0, clockSpeed: 20 });
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "fail");
  await scene.app.ledger(5);
  await loggedEvent(engine, "replica.failed");
  const before = await scene.history();
  const seq = await scene.app.ledger(1);
  const synced = syncEngine(engine);
  expect((await engineStatus(engine)).failingSinceMs).toBeGreaterThan(0);
  expect(engine.lines.some((line) => line.startsWith("synced tag") && line.endsWith("never"))).toBe(
    false,
  );
  expect((await scene.history()).length).toBe(before.length);
  await tellEngine(engine, "heal");
  await synced;
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
  expect((await engineStatus(engine)).failingSinceMs).toBeUndefined();
});

test("staged files above the limit become one wide file; the newest stays single, and a restart goes on", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({
    syncIntervalMs: 0,
    clockSpeed: 50,
    maxStagingBytes: 1 << 20,
    shutdownMs: 100,
  });
  await engineReady(engine);
  await syncEngine(engine);
  const before = await scene.prove();
  await tellEngine(engine, "fail");
  const merged = loggedEvent(engine, "staging.merged");
  for (let i = 0; i < 12; i++) {
    const newest = scene.staged.at(-1);
    await scene.app.exec(
      "CREATE TABLE IF NOT EXISTS noise(x); INSERT INTO noise VALUES(randomblob(200000))",
    );
    await scene.app.ledger(1);
    // Commits that come too fast for files of their own would leave nothing to merge.
    await until(() => scene.staged.at(-1) !== newest);
  }
  await merged;
  await scene.app.ledger(1);
  expect(await stopEngine(engine)).toBe(1);
  const next = scene.engine();
  await engineReady(next);
  const seq = await scene.app.ledger(1);
  await syncEngine(next);
  const points = await scene.prove();
  expect(points.at(-1)?.seq).toBe(seq);
  expect(points.slice(0, before.length)).toEqual(before);
  const files = await replicaFiles(scene.replica);
  const newest = files.findLast((file) => file.level === 0);
  expect(newest?.minTxid).toBe(newest?.maxTxid);
  expect(files.some((file) => file.level === 0 && file.minTxid < file.maxTxid)).toBe(true);
});
