// Two replicas of one database: whatever becomes of one, the other goes on, and none ever has a hole.
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ReplicaFile } from "../../src/core/replica/catalog.ts";
import {
  engineFailure,
  engineReady,
  engineStatus,
  loggedEvent,
  repeatUntil,
  stopEngine,
  syncEngine,
  tellEngine,
} from "../support/engine.ts";
import { replicaFiles } from "../support/history-check.ts";
import { liveImage, sha256OfFile } from "../support/live-image.ts";
import { Scene, expectKept } from "../support/scene.ts";
import { proveBoth, secondHistory, twoReplicas } from "../support/two-replicas.ts";
import { until } from "../support/until.ts";

test("two empty replicas get one history, each with an image; status tells of each", async () => {
  await using scene = await Scene.open();
  const { both } = twoReplicas(scene);
  const engine = scene.engine({ ...both, syncIntervalMs: 0 });
  await engineReady(engine);
  for (let i = 0; i < 5; i++) {
    await scene.app.ledger(1);
    await syncEngine(engine);
  }
  const status = await engineStatus(engine);
  expect(status.replicas).toHaveLength(2);
  expect(status).toMatchObject({ replicatedThrough: String(BigInt(status.txid ?? 0)) });
  const [first] = await proveBoth(scene);
  expect(first.at(-1)?.seq).toBe(25);
});

test("a second replica added to a history, while writes go on", async () => {
  await using scene = await Scene.open();
  const { both } = twoReplicas(scene);
  const alone = scene.engine({ syncIntervalMs: 0 });
  await engineReady(alone);
  for (let i = 0; i < 5; i++) {
    await scene.app.ledger(1);
    await syncEngine(alone);
  }
  expect(await stopEngine(alone)).toBe(0);
  const before = await scene.prove();
  const engine = scene.engine({ ...both, syncIntervalMs: 0 });
  await engineReady(engine);
  for (let i = 0; i < 5; i++) await scene.app.ledger(3);
  await syncEngine(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  const [first] = await proveBoth(scene);
  expectKept(before, first);
});

test("one replica emptied while nobody runs gets an image; the other keeps its history", async () => {
  await using scene = await Scene.open();
  const { both, secondPath } = twoReplicas(scene);
  const engine = scene.engine(both);
  await engineReady(engine);
  await scene.app.ledger(3);
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  const before = await scene.prove();
  rmSync(secondPath, { recursive: true });
  await scene.app.ledger(2);
  const next = scene.engine(both);
  await engineReady(next);
  await syncEngine(next);
  const [first] = await proveBoth(scene);
  expectKept(before, first);
});

test("one replica emptied while the engine works is noticed and gets an image", async () => {
  await using scene = await Scene.open();
  const { both, secondPath } = twoReplicas(scene);
  const engine = scene.engine({ ...both, clockSpeed: 1_000_000, syncIntervalMs: 0 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  // In one step: the engine may be putting something.
  renameSync(secondPath, scene.directory.file("emptied"));
  const from = engine.lines.length;
  await scene.app.ledger(2);
  await syncEngine(engine);
  expect(await loggedEvent(engine, "replica.adopted", from)).toMatchObject({
    replica: twoReplicas(scene).second,
    rule: "image-of-held",
  });
  await proveBoth(scene);
});

test("a replica that is away at the start keeps nobody waiting, and is led on when it comes back", async () => {
  await using scene = await Scene.open();
  const { both } = twoReplicas(scene);
  const engine = scene.engine({ ...both, clockSpeed: 50, syncIntervalMs: 0, storeDown: "second" });
  await engineReady(engine);
  const seq = await scene.app.ledger(3);
  expect((await scene.untilReplicated()).at(-1)?.seq).toBe(seq);
  const { replicas, failingSinceMs } = await engineStatus(engine);
  expect(failingSinceMs).toBeGreaterThan(0);
  expect(replicas[0]?.failingSinceMs).toBeUndefined();
  expect(replicas[1]).toMatchObject({ state: "following", replicatedThrough: "0" });
  expect(replicas[1]?.lastError).toContain("Injected fault");
  const synced = syncEngine(engine);
  await tellEngine(engine, "heal");
  await synced;
  await proveBoth(scene);
  expect((await engineStatus(engine)).failingSinceMs).toBeUndefined();
});

async function hasLevel(replica: string, level: number): Promise<boolean> {
  return (await replicaFiles(replica)).some((file) => file.level === level);
}

test("each replica has levels, images and retention of its own, also while the other is away", async () => {
  await using scene = await Scene.open();
  const { both, second } = twoReplicas(scene);
  const schedule = { levels: [300], snapshotIntervalMs: 500, snapshotRetentionMs: 0 };
  const retention = { l0RetentionMs: 1, retentionGraceMs: 0 };
  const engine = scene.engine({ ...both, ...schedule, ...retention, syncIntervalMs: 0 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await tellEngine(engine, "fail second");
  const alone = loggedEvent(engine, "retention.deleted", engine.lines.length);
  await repeatUntil(alone, () => scene.app.ledger(1));
  expect(await alone).toMatchObject({ replica: scene.replica });
  await tellEngine(engine, "heal");
  await repeatUntil(
    until(async () => (await hasLevel(second, 1)) && (await hasLevel(second, 9))),
    () => scene.app.ledger(1),
  );
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  const { sha256 } = await liveImage(scene.path);
  for (const replica of [scene.replica, second])
    expect(await sha256OfFile(await scene.restored(replica))).toBe(sha256);
});

/** Level-0 files of more than one TXID. */
async function wideFiles(replica: string): Promise<readonly ReplicaFile[]> {
  const files = await replicaFiles(replica);
  return files.filter((file) => file.level === 0 && file.minTxid < file.maxTxid);
}

/** Commits that are staged one by one, with `bytes` of noise each. */
async function noise(
  scene: Scene,
  { commits, bytes = 200_000 }: { commits: number; bytes?: number },
) {
  for (let i = 0; i < commits; i++) {
    const newest = scene.staged.at(-1);
    await scene.app.exec(
      `CREATE TABLE IF NOT EXISTS noise(x); INSERT INTO noise VALUES(randomblob(${bytes}))`,
    );
    await scene.app.ledger(1);
    await until(() => scene.staged.at(-1) !== newest);
  }
}

test("a replica that is away above max-staging gets wide files; the other has each TXID by itself", async () => {
  await using scene = await Scene.open();
  const { both, second } = twoReplicas(scene);
  const options = { ...both, syncIntervalMs: 0, clockSpeed: 50, maxStagingBytes: 1 << 20 };
  const engine = scene.engine({ ...options, shutdownMs: 100 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await tellEngine(engine, "fail second");
  const merged = loggedEvent(engine, "staging.merged");
  await noise(scene, { commits: 15 });
  await merged;
  await scene.untilReplicated();
  expect(await stopEngine(engine)).toBe(1);
  const failure = await engineFailure(engine);
  expect(failure).toMatch(/^failed engine\/replicas .*1 of its 2 replicas/u);
  expect(engine.lines.join("\n")).toContain(`${second} has everything through `);
  expect(engine.lines.join("\n")).not.toContain(`${scene.replica} has`);
  const next = scene.engine(options);
  await engineReady(next);
  await scene.app.ledger(1);
  await syncEngine(next);
  await proveBoth(scene);
  expect(await wideFiles(scene.replica)).toHaveLength(0);
  expect(await wideFiles(second)).not.toHaveLength(0);
});

test("both replicas away, one for longer: merged files suit both, and neither has a hole", async () => {
  await using scene = await Scene.open();
  const { both, second } = twoReplicas(scene);
  const engine = scene.engine({
    ...both,
    syncIntervalMs: 0,
    clockSpeed: 50,
    maxStagingBytes: 1 << 20,
  });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await tellEngine(engine, "fail second");
  await noise(scene, { commits: 3 });
  await scene.untilReplicated();
  await tellEngine(engine, "fail /");
  const merged = loggedEvent(engine, "staging.merged");
  await noise(scene, { commits: 15 });
  await merged;
  const seq = await scene.app.ledger(1);
  const synced = syncEngine(engine);
  await tellEngine(engine, "heal");
  await synced;
  const [first, points] = await proveBoth(scene);
  expect([first.at(-1)?.seq, points.at(-1)?.seq]).toEqual([seq, seq]);
  expect(await wideFiles(second)).not.toHaveLength(0);
});

test("what a full disk took from a replica that is away becomes one wide file from its head", async () => {
  await using scene = await Scene.open();
  const { both, second } = twoReplicas(scene);
  const engine = scene.engine({ ...both, syncIntervalMs: 0, clockSpeed: 50 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await tellEngine(engine, "fail second");
  await noise(scene, { commits: 5, bytes: 1000 });
  await scene.untilReplicated();
  await tellEngine(engine, "break ENOSPC .ltx.tmp");
  const full = loggedEvent(engine, "disk.full");
  await scene.app.ledger(1);
  await full;
  await until(() => scene.staged.length === 1);
  await tellEngine(engine, "mend");
  const seq = await scene.app.ledger(1);
  const from = engine.lines.length;
  await tellEngine(engine, "heal");
  await syncEngine(engine);
  expect(await loggedEvent(engine, "replica.adopted", from)).toMatchObject({ rule: "bridge" });
  const [, points] = await proveBoth(scene);
  expect(points.at(-1)?.seq).toBe(seq);
  expect(await wideFiles(second)).toHaveLength(1);
});

test("a replica that is ahead is numbered over, keeps its history, and the other has no hole", async () => {
  await using scene = await Scene.open();
  await using other = await Scene.open({ transactions: 40 });
  const { both, second } = twoReplicas(scene);
  const elsewhere = other.engine({ replica: second, syncIntervalMs: 0 });
  await engineReady(elsewhere);
  for (let i = 0; i < 12; i++) {
    await other.app.ledger(1);
    await syncEngine(elsewhere);
  }
  expect(await stopEngine(elsewhere)).toBe(0);
  const ahead = await secondHistory(scene);
  const alone = scene.engine({ syncIntervalMs: 0 });
  await engineReady(alone);
  await scene.app.ledger(1);
  await syncEngine(alone);
  expect(await stopEngine(alone)).toBe(0);
  const before = await scene.prove();
  const engine = scene.engine({ ...both, takeOver: true, syncIntervalMs: 0 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  const from = ahead.at(-1)?.txid ?? "";
  const [first, points] = await proveBoth(scene, { from, mayGoBack: true });
  expectKept(before, first);
  expectKept(ahead, points);
  expect((first.at(-1)?.txid ?? "") > from).toBe(true);
});

test("a database restored from the replica that is behind goes on above the one that is ahead", async () => {
  await using scene = await Scene.open();
  const { both, second } = twoReplicas(scene);
  const engine = scene.engine({ ...both, syncIntervalMs: 0, clockSpeed: 50, shutdownMs: 100 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  const behind = await scene.prove();
  await tellEngine(engine, `fail ${scene.replica}`);
  const ledger = async (): Promise<void> => {
    const newest = scene.staged.at(-1);
    await scene.app.ledger(1);
    await until(() => scene.staged.at(-1) !== newest);
  };
  for (let i = 0; i < 5; i++) await ledger();
  expect(await stopEngine(engine)).toBe(1);
  const ahead = await secondHistory(scene);
  expect(ahead.length).toBeGreaterThan(behind.length);
  await scene.restoreInPlace();
  rmSync(scene.stateDirectory, { recursive: true });
  const next = scene.engine({ ...both, syncIntervalMs: 0, takeOver: true });
  await engineReady(next);
  await scene.app.ledger(1);
  await syncEngine(next);
  // The first sync ends with what each replica has, which may be numbered differently there.
  await scene.app.ledger(1);
  await syncEngine(next);
  const from = ahead.at(-1)?.txid ?? "";
  const [first, points] = await proveBoth(scene, { from, mayGoBack: true });
  expectKept(behind, first);
  expectKept(ahead, points);
  expect(second).not.toBe(scene.replica);
});

test("a replica that is behind and has lost its images gets them beside what it lacks", async () => {
  await using scene = await Scene.open();
  const { both, secondPath } = twoReplicas(scene);
  const options = { ...both, syncIntervalMs: 0, clockSpeed: 50 };
  const engine = scene.engine({ ...options, shutdownMs: 100 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await tellEngine(engine, "fail second");
  await noise(scene, { commits: 3, bytes: 1000 });
  await scene.untilReplicated();
  expect(await stopEngine(engine)).toBe(1);
  rmSync(join(secondPath, "ltx", "9"), { recursive: true });
  // Without its record it is listed at the start.
  rmSync(join(scene.stateDirectory, "replicas"), { recursive: true });
  const next = scene.engine(options);
  await engineReady(next);
  await scene.app.ledger(1);
  await syncEngine(next);
  await proveBoth(scene);
});

test("another writer stops one replica; the other goes on, and status, sync and the end say so", async () => {
  await using scene = await Scene.open();
  const { both, second, secondPath } = twoReplicas(scene);
  const engine = scene.engine({ ...both, syncIntervalMs: 0 });
  await engineReady(engine);
  await scene.app.ledger(1);
  const txid = await syncEngine(engine);
  const next = (BigInt(`0x${txid}`) + 1n).toString(16).padStart(16, "0");
  const directory = join(secondPath, "ltx", "0");
  writeFileSync(join(directory, `${next}-${next}.ltx`), "what another program wrote");
  const seq = await scene.app.ledger(1);
  expect(await loggedEvent(engine, "replica.stopped")).toMatchObject({ replica: second });
  expect((await scene.untilReplicated()).at(-1)?.seq).toBe(seq);
  const later = await scene.app.ledger(2);
  expect((await scene.untilReplicated()).at(-1)?.seq).toBe(later);
  const { replicas, lastError } = await engineStatus(engine);
  expect(replicas.map(({ state }) => state)).toEqual(["replicating", "stopped"]);
  expect(lastError).toMatch(/unknown program/u);
  engine.send("sync refused");
  expect(await engine.line((line) => line.startsWith("failed "))).toMatch(/another-writer/u);
  expect(await stopEngine(engine)).toBe(1);
  expect(engine.lines.join("\n")).toMatch(/failed engine\/replicas .*\n.*unknown program/u);
  await scene.prove();
});

test("a staged file that is damaged costs the replica that still needs it an image, and nobody else", async () => {
  await using scene = await Scene.open();
  const { both } = twoReplicas(scene);
  const engine = scene.engine({ ...both, syncIntervalMs: 0, clockSpeed: 50, shutdownMs: 100 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await tellEngine(engine, "fail second");
  await noise(scene, { commits: 4, bytes: 1000 });
  await scene.untilReplicated();
  expect(await stopEngine(engine)).toBe(1);
  const damaged = scene.staged.at(-2) ?? "";
  writeFileSync(join(scene.stateDirectory, "ltx", "0", damaged), new Uint8Array(5000));
  const next = scene.engine({ ...both, syncIntervalMs: 0 });
  await engineReady(next);
  await scene.app.ledger(1);
  await syncEngine(next);
  await proveBoth(scene);
});

test("a single pass brings everything to the replica that is there, and fails naming the other", async () => {
  await using scene = await Scene.open();
  const { both, second } = twoReplicas(scene);
  const engine = scene.engine({ ...both, once: true, clockSpeed: 50, storeDown: "second" });
  await engineReady(engine);
  expect(await stopEngine(engine)).toBe(1);
  expect(engine.lines.join("\n")).toContain(`${second} has nothing`);
  await scene.prove();
  const again = scene.engine({ ...both, once: true });
  await engineReady(again);
  expect(await stopEngine(again)).toBe(0);
  await proveBoth(scene);
});
