// Continuous verification at work: what rots in the source or in the replica is found, reported once and healed, and what
// was captured before stays as it was.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { maxLevel } from "../../src/core/replica/layout.ts";
import { verify } from "../../src/node/restore/verify.ts";
import { checkLedger } from "../support/check-ledger.ts";
import type { Child } from "../support/children.ts";
import { startDisturber } from "../support/disturber.ts";
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
import { replicaFiles } from "../support/history-check.ts";
import { lastCommitted, startLoad } from "../support/load.ts";
import { rotPage } from "../support/sabotage.ts";
import { Scene, expectKept } from "../support/scene.ts";
import { until } from "../support/until.ts";

const often: Partial<EngineChildOptions> = {
  syncIntervalMs: 20,
  levels: [],
  snapshotIntervalMs: 3_600_000,
  verifyIntervalMs: 100,
  verifyRestoreIntervalMs: 0,
};
const restoresOften = { ...often, verifyIntervalMs: 0, verifyRestoreIntervalMs: 100 };

const pageSize = 4096;
const marker = "cold data that nobody touches";

/** A database with a page that nobody writes any more, at rest, so that all of it is in its file. */
async function sceneWithColdPage(): Promise<Scene> {
  const scene = await Scene.open({ pageSize });
  await scene.app.exec(`CREATE TABLE cold(text); INSERT INTO cold VALUES (printf('%.9000c', '.'))`);
  await scene.app.exec(`INSERT INTO cold VALUES ('${marker}')`);
  await scene.app.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  return scene;
}

/** Waits for a verification that began after now and succeeded. */
async function untilVerified(engine: Child, field: "lastVerifiedAtMs" | "lastRestoreVerifiedAtMs") {
  const last = async (): Promise<number> => (await engineStatus(engine)).verification[field] ?? 0;
  // The one that is under way may have begun before.
  for (let round = 0; round < 2; round++) {
    const before = await last();
    await until(async () => (await last()) > before);
  }
  return (await engineStatus(engine)).verification;
}

/** Changes a byte in the middle of a file of the replica. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function reports(engine: Child, event: string): number {
  return eventsOf(engine).filter((one) => one === event).length;
}

test("a page that rots in the source is staged as the next TXID, reported once, and the history before keeps it", async () => {
  await using scene = await sceneWithColdPage();
  const engine = scene.engine(often);
  await engineReady(engine);
  const before = await scene.untilReplicated();
  const pgno = rotPage(scene.path, marker, pageSize);
  const report = await loggedEvent(engine, "verification.diverged");
  expect(report).toMatchObject({ pages: 1, pgnos: [pgno], restagedPages: 1 });
  const { result, divergedPages } = await untilVerified(engine, "lastVerifiedAtMs");
  expect({ result, divergedPages }).toEqual({ result: "passed", divergedPages: 1 });
  expect(reports(engine, "verification.diverged")).toBe(1);
  await scene.app.ledger(3);
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  const after = await scene.prove();
  expectKept(before, after);
  expect(after.find(({ txid }) => txid === report["txid"])).toBeDefined();
});

test("the restore comparison finds a page that rots in the source, too", async () => {
  await using scene = await sceneWithColdPage();
  const engine = scene.engine(restoresOften);
  await engineReady(engine);
  const before = await scene.untilReplicated();
  const pgno = rotPage(scene.path, marker, pageSize);
  const report = await loggedEvent(engine, "verification.diverged");
  expect(report).toMatchObject({ pgnos: [pgno] });
  const { result } = await untilVerified(engine, "lastRestoreVerifiedAtMs");
  expect(result).toBe("passed");
  expect(await stopEngine(engine)).toBe(0);
  expectKept(before, await scene.prove());
});

test("an idle database is scrubbed again and again without one request", async () => {
  await using scene = await sceneWithColdPage();
  const engine = scene.engine({ ...often, printCalls: true });
  await engineReady(engine);
  await scene.untilReplicated();
  await untilVerified(engine, "lastVerifiedAtMs");
  const callsMeanwhile = async (): Promise<number> => {
    const calls = (): number => engine.lines.filter((line) => line.startsWith("store ")).length;
    const before = calls();
    await untilVerified(engine, "lastVerifiedAtMs");
    return calls() - before;
  };
  await until(async () => (await callsMeanwhile()) === 0);
  for (let round = 0; round < 3; round++) expect(await callsMeanwhile()).toBe(0);
  expect(await stopEngine(engine)).toBe(0);
});

test("under load, with checkpoints in every mode, everything passes and writers get through", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({
    ...often,
    levels: [200, 600],
    verifyRestoreIntervalMs: 100,
    snapshotIntervalMs: 1_000,
    snapshotRetentionMs: 2_000,
    l0RetentionMs: 200,
    retentionGraceMs: 200,
  });
  await engineReady(engine);
  await using load = startLoad({ path: scene.path, seed: 7, rough: true });
  await using storm = startDisturber({ path: scene.path, seed: 8, kind: "checkpoint", maxMs: 20 });
  await until(() => lastCommitted(load) > 50);
  for (const field of ["lastVerifiedAtMs", "lastRestoreVerifiedAtMs"] as const) {
    const seq = lastCommitted(load);
    await untilVerified(engine, field);
    await until(() => lastCommitted(load) > seq);
  }
  await storm.end();
  await load.end();
  await syncEngine(engine);
  const { verification } = await engineStatus(engine);
  expect(verification).toMatchObject({ result: "passed", divergedPages: 0, faultyFiles: 0 });
  expect(await stopEngine(engine)).toBe(0);
  expect(eventsOf(engine).filter((event) => /^verification|fault/u.test(event))).toEqual([]);
  checkLedger(await scene.restored());
});

test("no writer ever waits: without a busy timeout each commit succeeds while everything is verified all the time", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...often, verifyIntervalMs: 1, verifyRestoreIntervalMs: 1 });
  await engineReady(engine);
  await scene.untilReplicated();
  // So few pages that nobody checkpoints, which does take the lock for a moment.
  const load = { commitsPerSecond: 100, transactions: 150, pagesPerCommit: 1, busyTimeoutMs: 0 };
  await using writer = startLoad({ path: scene.path, seed: 9, ...load, end: "exit" });
  await untilVerified(engine, "lastVerifiedAtMs");
  await untilVerified(engine, "lastRestoreVerifiedAtMs");
  const lines = await writer.success();
  const result = lines.find((line) => line.startsWith("result "))?.slice("result ".length);
  expect(JSON.parse(result ?? "{}")).toMatchObject({ transactions: 150, busyErrors: 0 });
  expect(eventsOf(engine)).not.toContain("checkpoint.done");
  expect(await stopEngine(engine)).toBe(0);
  await scene.prove();
});

test("a database of more than one slice is scrubbed to its last page while others write", async () => {
  await using scene = await Scene.open({ pageSize: 65_536 });
  await scene.app.exec("CREATE TABLE cold(text); INSERT INTO cold VALUES (zeroblob(280 << 20))");
  // Its end is on a page of its own, after all others.
  await scene.app.exec(`INSERT INTO cold VALUES (printf('%.200000c', '.') || '${marker}')`);
  await scene.app.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  const engine = scene.engine(often);
  await engineReady(engine);
  await syncEngine(engine);
  await using load = startLoad({ path: scene.path, seed: 10, commitsPerSecond: 20 });
  await until(() => lastCommitted(load) > 25);
  const pgno = rotPage(scene.path, marker, 65_536);
  expect(pgno).toBeGreaterThan(4096);
  const report = await loggedEvent(engine, "verification.diverged");
  expect(report).toMatchObject({ pages: 1, pgnos: [pgno], restagedPages: 1 });
  await load.end();
  expect(await stopEngine(engine)).toBe(0);
  checkLedger(await scene.restored());
});

/** An engine whose newest file is still staged when the next is put: level 1 was made before it and is not due for a day. */
async function engineThatKeepsStaged(scene: Scene): Promise<Child> {
  const engine = scene.engine({ ...often, levels: [86_400_000] });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await until(async () => (await engineStatus(engine)).levels.compactions > 0);
  await scene.app.ledger(1);
  await syncEngine(engine);
  return engine;
}

test("a file that vanishes from the replica and is still staged is put again", async () => {
  await using scene = await Scene.open();
  const engine = await engineThatKeepsStaged(scene);
  const before = await scene.untilReplicated();
  const head = (await replicaFiles(scene.replica)).findLast(({ level }) => level === 0);
  rmSync(join(scene.replicaPath, head?.key ?? ""));
  await scene.app.ledger(1);
  await loggedEvent(engine, "replica.put-again");
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  expectKept(before, await scene.prove());
});

test("a damaged full image that a restore needs is reported once, and a new one is put beside it", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine(often);
  await engineReady(engine);
  await scene.untilReplicated();
  const image = (await replicaFiles(scene.replica)).find(({ level }) => level === maxLevel);
  damage(join(scene.replicaPath, image?.key ?? ""));
  await scene.app.ledger(1);
  expect(await loggedEvent(engine, "verification.replica-fault")).toMatchObject({
    key: image?.key,
    kind: "damaged",
  });
  await loggedEvent(engine, "replica.reimaged");
  const { verification } = await engineStatus(engine);
  expect(verification).toMatchObject({ result: "failed", faultyFiles: 1 });
  const failures = (): Promise<number> =>
    engineStatus(engine).then(({ verification: { failures: count } }) => count);
  const soFar = await failures();
  await until(async () => (await failures()) > soFar);
  expect(reports(engine, "verification.replica-fault")).toBe(1);
  expect(reports(engine, "replica.reimaged")).toBe(1);
  expect(await stopEngine(engine)).toBe(0);
  expect(checkLedger(await scene.restored()).seq).toBe(21);
  const { files } = await verify({ replica: scene.replica });
  expect(files.filter(({ result }) => result === "failed").map(({ file }) => file.key)).toEqual([
    image?.key,
  ]);
});

test("killed while it verifies, it verifies at the next start and nothing is lost", async () => {
  await using scene = await sceneWithColdPage();
  const killed = scene.engine({ ...often, killBefore: "rename " });
  await killed.exited;
  const dying = scene.engine({ ...often, killBefore: "verification.json.tmp" });
  await dying.exited;
  expect(eventsOf(dying).some((event) => /^(?:scrub|replica-proof)\.done$/u.test(event))).toBe(
    true,
  );
  const engine = scene.engine({ ...often, verifyRestoreIntervalMs: 100 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await untilVerified(engine, "lastVerifiedAtMs");
  const { result } = await untilVerified(engine, "lastRestoreVerifiedAtMs");
  expect(result).toBe("passed");
  expect(await stopEngine(engine)).toBe(0);
  await scene.prove();
});

test("killed while it stages the pages that differ, it finds and stages them at the next start", async () => {
  await using scene = await sceneWithColdPage();
  const first = scene.engine({ ...often, verifyIntervalMs: 0 });
  await engineReady(first);
  // With frames in the WAL the next starts go on exactly there, and compare nothing.
  await scene.app.ledger(1);
  const before = await scene.untilReplicated();
  const pgno = rotPage(scene.path, marker, pageSize);
  await stopEngine(first);
  const next = BigInt(`0x${before.at(-1)?.txid}`) + 1n;
  const name = `${next.toString(16).padStart(16, "0")}.ltx`;
  for (const killBefore of [`unlink ${scene.stateDirectory}/ltx/0/${name}`, `${name}.tmp`]) {
    const dying = scene.engine({ ...often, killBefore });
    expect(await dying.exited).toMatchObject({ signal: "SIGKILL" });
    expect(dying.lines).toContainEqual(
      expect.stringMatching(/database[.]attached .*"resumed":true/u),
    );
    expect(eventsOf(dying)).not.toContain("verification.diverged");
  }
  const engine = scene.engine(often);
  expect(await loggedEvent(engine, "verification.diverged")).toMatchObject({ pgnos: [pgno] });
  expect(await stopEngine(engine)).toBe(0);
  expectKept(before, await scene.prove());
});

test("a damaged file that is still staged is replaced by what was put, and the engine knows it for its own", async () => {
  await using scene = await Scene.open();
  const engine = await engineThatKeepsStaged(scene);
  const before = await scene.untilReplicated();
  const head = (await replicaFiles(scene.replica)).findLast(({ level }) => level === 0);
  damage(join(scene.replicaPath, head?.key ?? ""));
  await scene.app.ledger(1);
  await loggedEvent(engine, "replica.put-again");
  await until(async () => (await engineStatus(engine)).verification.failingSinceMs === undefined);
  const { result, faultyFiles } = await untilVerified(engine, "lastVerifiedAtMs");
  expect({ result, faultyFiles }).toEqual({ result: "passed", faultyFiles: 0 });
  expect(await stopEngine(engine)).toBe(0);
  // The next start looks whether its objects are what it left.
  const second = scene.engine(often);
  await engineReady(second);
  await scene.app.ledger(1);
  await syncEngine(second);
  expect(await stopEngine(second)).toBe(0);
  expectKept(before, await scene.prove());
});

test("a restore that fails is reported once, and one from a new image passes", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine(restoresOften);
  await engineReady(engine);
  await scene.untilReplicated();
  const image = (await replicaFiles(scene.replica)).find(({ level }) => level === maxLevel);
  damage(join(scene.replicaPath, image?.key ?? ""));
  await loggedEvent(engine, "verification.restore-fault");
  await loggedEvent(engine, "replica.reimaged");
  const { result, failures } = await untilVerified(engine, "lastRestoreVerifiedAtMs");
  expect({ result, failures }).toEqual({ result: "passed", failures: 0 });
  expect(reports(engine, "verification.restore-fault")).toBe(1);
  expect(await stopEngine(engine)).toBe(0);
  expect(checkLedger(await scene.restored()).seq).toBe(20);
});

test("a store that does not answer delays verification and is no fault of the replica", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine(restoresOften);
  await engineReady(engine);
  await untilVerified(engine, "lastRestoreVerifiedAtMs");
  await tellEngine(engine, "fail");
  await loggedEvent(engine, "restore-verification.failed");
  const { verification } = await engineStatus(engine);
  expect(verification).toMatchObject({ result: "passed", faultyFiles: 0 });
  expect(verification.failures).toBeGreaterThan(0);
  await tellEngine(engine, "heal");
  await until(async () => (await engineStatus(engine)).verification.failingSinceMs === undefined);
  expect(await stopEngine(engine)).toBe(0);
  expect(eventsOf(engine)).not.toContain("verification.restore-fault");
});
