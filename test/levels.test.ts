// Levels, images and retention at work while an application writes: whatever an engine has made and deleted, everything
// that is listed restores, is proved, and is a prefix of what the application committed.
import { copyFileSync, readFileSync, renameSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { openCodec } from "../src/core/codec/codec.ts";
import { toTxid } from "../src/core/ltx/txid.ts";
import type { ReplicaFile } from "../src/core/replica/catalog.ts";
import { litestreamLayout } from "../src/core/replica/layout.ts";
import { restorableRanges } from "../src/core/replica/plan.ts";
import { checksumFileKey, listChecksumFiles } from "../src/core/view/checksum-file.ts";
import { ReplicaViews } from "../src/core/view/replica-views.ts";
import { openReplicaStore } from "../src/node/restore/environment.ts";
import { restore } from "../src/node/restore/restore.ts";
import { verify } from "../src/node/restore/verify.ts";
import { checkLedger } from "./support/check-ledger.ts";
import type { Child } from "./support/children.ts";
import type { EngineChildOptions } from "./support/engine.ts";
import {
  engineReady,
  engineStatus,
  eventsOf,
  loggedEvent,
  stopEngine,
  syncEngine,
} from "./support/engine.ts";
import { replicaFiles } from "./support/history-check.ts";
import { sha256OfFile } from "./support/live-image.ts";
import { officialHydrate } from "./support/official-vfs.ts";
import { Scene } from "./support/scene.ts";
import { until } from "./support/until.ts";

const fast: Partial<EngineChildOptions> = {
  syncIntervalMs: 20,
  levels: [100, 300, 900],
  snapshotIntervalMs: 1_500,
  snapshotRetentionMs: 2_000,
  l0RetentionMs: 200,
  retentionGraceMs: 200,
};

/** Commits and syncs until `isEnough`; fails after a minute. Returns the newest transaction. */
async function writeUntil(
  scene: Scene,
  engine: Child,
  isEnough: () => Promise<boolean> | boolean,
): Promise<number> {
  const endsAtMs = Date.now() + 60_000;
  let seq = 0;
  while (!(await isEnough())) {
    if (Date.now() > endsAtMs)
      throw new Error(`it never came: ${engine.lines.slice(-20).join("\n")}`);
    seq = await scene.app.ledger(2);
    await syncEngine(engine);
  }
  return seq;
}

/** Restores every point that the listing promises. */
async function restoreAll(scene: Scene): Promise<readonly number[]> {
  const seqs: number[] = [];
  for (const { from, to } of restorableRanges(await replicaFiles(scene.replica))) {
    for (let txid: bigint = from; txid <= to; txid++) {
      const output = scene.directory.file(`point-${txid}.db`);
      await restore({ replica: scene.replica, output, txid: toTxid(txid) });
      seqs.push(checkLedger(output).seq);
      rmSync(output);
    }
  }
  return seqs;
}

function levelsOf(files: readonly ReplicaFile[]): readonly number[] {
  return [...new Set(files.map(({ level }) => level))].toSorted((a, b) => a - b);
}

test("a busy replica with everything at work: all that is listed restores, verify proves it, Litestream reads it", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine(fast);
  await engineReady(engine);
  const seq = await writeUntil(scene, engine, async () => {
    const { levels } = await engineStatus(engine);
    return levels.snapshots >= 2 && levels.deletedFiles >= 20 && levels.compactions >= 8;
  });
  const { levels } = await engineStatus(engine);
  expect(levels.lastError).toBeUndefined();
  expect(await stopEngine(engine)).toBe(0);
  expect(eventsOf(engine).filter((event) => /failed|gap/u.test(event))).toEqual([]);

  const files = await replicaFiles(scene.replica);
  expect(levelsOf(files)).toEqual([0, 1, 2, 3, 9]);
  const newest = await scene.restored();
  expect(checkLedger(newest).seq).toBe(seq);
  const seqs = await restoreAll(scene);
  expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  const { result, holes, files: findings } = await verify({ replica: scene.replica });
  expect(["proved", "linked"]).toContain(result);
  expect(holes).toEqual([]);
  const oldest = findings.find(({ file }) => file.level === 9)?.file.maxTxid ?? 0n;
  const after = findings.filter(({ file }) => file.level === 9 || file.minTxid > oldest);
  expect(after.filter((finding) => finding.result !== "proved")).toEqual([]);
  const official = await officialHydrate(scene.replica, scene.directory.file("official.db"));
  expect(official.sha256).toBe(await sha256OfFile(newest));
});

test("an application that pauses: soon nothing is asked of the store, and level 0 is down to the newest file", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...fast, printCalls: true });
  await engineReady(engine);
  await writeUntil(scene, engine, async () => (await engineStatus(engine)).levels.compactions >= 4);
  const calls = (): number => engine.lines.filter((line) => line.startsWith("store ")).length;
  let quietMs = 0;
  for (let before = calls(); quietMs < 2_500; quietMs += 250) {
    await sleep(250);
    if (calls() !== before) quietMs = 0;
    before = calls();
  }
  const files = await replicaFiles(scene.replica);
  const level0 = files.filter(({ level }) => level === 0);
  expect(level0).toHaveLength(1);
  expect((await engineStatus(engine)).levels.compactedThrough).toBe(String(level0[0]?.maxTxid));
  expect(await stopEngine(engine)).toBe(0);
});

test("level 1 is merged from staged files, which stay until it has them", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...fast, levels: [400], printCalls: true });
  await engineReady(engine);
  await writeUntil(scene, engine, async () => (await engineStatus(engine)).levels.compactions >= 5);
  const reads = engine.lines.filter((line) => / get ltx[/]0[/]/u.test(line));
  expect(reads).toEqual([]);
  expect(await stopEngine(engine)).toBe(0);
});

test("checksum files: each merged file and image has one, each has its file, and pages are read with them", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...fast, pageChecksums: true });
  await engineReady(engine);
  await writeUntil(scene, engine, async () => {
    const { levels } = await engineStatus(engine);
    return levels.snapshots >= 2 && levels.deletedFiles >= 20;
  });
  await using store = await openReplicaStore(scene.replica);
  const layout = litestreamLayout;
  await until(async () => {
    const keys = await listChecksumFiles(store, {});
    const files = (await replicaFiles(scene.replica)).filter(({ level }) => level > 0);
    const isEqual =
      files.length === keys.size && files.every((file) => keys.has(checksumFileKey(file)));
    return (
      isEqual && files.some(({ level }) => level === 9) && files.some(({ level }) => level === 1)
    );
  });
  expect(await stopEngine(engine)).toBe(0);
  const warnings: string[] = [];
  const logger = { log: (_: string, event: string) => void warnings.push(event) };
  const options = { store, layout, codec: openCodec(), cacheBytes: 1_000_000, logger };
  await using views = await ReplicaViews.open(options, {});
  using view = views.newest();
  const page = new Uint8Array(views.pageSize);
  const restored = readFileSync(await scene.restored());
  expect(view.map.commit * views.pageSize).toBe(restored.length);
  for (let pgno = 1; pgno <= view.map.commit; pgno++) {
    await view.read(pgno, page, {});
    const expected = restored.subarray((pgno - 1) * page.length, pgno * page.length);
    expect(Buffer.compare(page, expected), `page ${pgno}`).toBe(0);
  }
  expect(warnings).toEqual([]);
});

test("checksum files: a database that was captured anew has one, for as long as its level-0 file is there", async () => {
  await using scene = await Scene.open();
  await scene.app.exec("CREATE TABLE noise(x); INSERT INTO noise VALUES(randomblob(2000000))");
  const first = scene.engine({ ...fast, pageChecksums: true });
  await engineReady(first);
  await syncEngine(first);
  expect(await stopEngine(first)).toBe(0);
  rmSync(scene.stateDirectory, { recursive: true });
  await scene.app.ledger(1);
  const slower = { ...fast, pageChecksums: true, l0RetentionMs: 20_000 };
  const again = scene.engine({ ...slower, takeOver: true });
  await engineReady(again);
  await syncEngine(again);
  const files = await replicaFiles(scene.replica);
  const large = files.find(({ level, sizeBytes }) => level === 0 && sizeBytes > 1 << 20);
  await using store = await openReplicaStore(scene.replica);
  const key = large === undefined ? "no level-0 file holds every page" : checksumFileKey(large);
  await until(async () => (await listChecksumFiles(store, {})).has(key), 60_000);
  const ofLevel0 = [...(await listChecksumFiles(store, {}))].filter((one) => one.includes("/0/"));
  expect(ofLevel0).toEqual([key]);
  expect(await stopEngine(again)).toBe(0);
  const last = scene.engine({ ...fast, pageChecksums: true });
  await engineReady(last);
  await writeUntil(scene, last, async () => !(await listChecksumFiles(store, {})).has(key));
  expect((await replicaFiles(scene.replica)).map((file) => file.key)).not.toContain(large?.key);
  expect(await stopEngine(last)).toBe(0);
});

test("retention off, or 0 for level 0: nothing goes", async () => {
  for (const options of [{ retentionEnabled: false }, { l0RetentionMs: 0 }]) {
    await using scene = await Scene.open();
    const engine = scene.engine({ ...fast, ...options, snapshotRetentionMs: 3_600_000 });
    await engineReady(engine);
    await writeUntil(
      scene,
      engine,
      async () => (await engineStatus(engine)).levels.compactions >= 10,
    );
    expect((await engineStatus(engine)).levels.deletedFiles).toBe(0);
    expect(await stopEngine(engine)).toBe(0);
    const points = await scene.prove();
    expect(points.length).toBeGreaterThan(4);
  }
});

test("a store that fails for a while delays the levels and ends nothing", async () => {
  await using scene = await Scene.open();
  const storeFault = {
    fault: { kind: "fail" },
    operations: ["list", "copy", "delete", "head"],
    fromCall: 20,
    calls: 60,
  } as const;
  const engine = scene.engine({ ...fast, storeFault });
  await engineReady(engine);
  await writeUntil(scene, engine, () =>
    eventsOf(engine).some((event) => event.endsWith(".failed")),
  );
  await writeUntil(scene, engine, async () => {
    const { levels } = await engineStatus(engine);
    return levels.lastError === undefined && levels.compactions >= 8;
  });
  expect(await stopEngine(engine)).toBe(0);
  await restoreAll(scene);
});

test("an engine killed again and again in the middle of its levels leaves a replica that restores", async () => {
  await using scene = await Scene.open();
  let seq = 0;
  for (let round = 0; round < 4; round++) {
    const engine = scene.engine({ ...fast, killAtCall: 150 + 100 * round });
    const ended = engine.exited.then(() => "ended");
    let outcome = await Promise.race([engineReady(engine).catch(() => "ended"), ended]);
    while (outcome !== "ended") {
      seq = await scene.app.ledger(1);
      outcome = await Promise.race([syncEngine(engine).catch(() => "ended"), ended]);
    }
  }
  const engine = scene.engine(fast);
  await engineReady(engine);
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  expect(checkLedger(await scene.restored()).seq).toBe(seq);
  await restoreAll(scene);
  expect((await verify({ replica: scene.replica })).result).not.toBe("failed");
});

test("restores that run while levels and retention work find all their files", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...fast, retentionGraceMs: 5_000 });
  await engineReady(engine);
  let restored = 0;
  await writeUntil(scene, engine, async () => {
    checkLedger(await scene.restored());
    restored++;
    return (await engineStatus(engine)).levels.deletedFiles >= 20 && restored >= 20;
  });
  expect(await stopEngine(engine)).toBe(0);
});

test("an image on its way keeps no commit waiting, and is given up when the database is replaced", async () => {
  await using scene = await Scene.open({ transactions: 300 });
  const engine = scene.engine({
    ...fast,
    levels: [],
    snapshotIntervalMs: 500,
    // An image takes seconds: long enough for all that is to happen meanwhile on a loaded machine.
    throttleBytesPerSecond: 6_000,
    printCalls: true,
  });
  await engineReady(engine);
  const from = engine.lines.length;
  await scene.app.ledger(1);
  await syncEngine(engine);
  await engine.line((line) => /^store \d+ put ltx[/]9[/]/u.test(line), from);
  await scene.app.ledger(1);
  await syncEngine(engine);
  expect((await engineStatus(engine)).levels.snapshots).toBe(0);

  await scene.app.close();
  const copy = scene.directory.file("copy.db");
  copyFileSync(scene.path, copy);
  renameSync(copy, scene.path);
  for (const suffix of ["-wal", "-shm"]) rmSync(scene.path + suffix, { force: true });
  await scene.restartApp();
  await loggedEvent(engine, "database.gone", from);
  await loggedEvent(engine, "snapshot.failed", from);
  const seq = await scene.app.ledger(1);
  await engine.line((line) => line.includes(" database.replicating "), from);
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  expect(checkLedger(await scene.restored()).seq).toBe(seq);
  expect((await verify({ replica: scene.replica })).result).not.toBe("failed");
});
