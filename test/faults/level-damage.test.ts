// Files of a level that are damaged, cut or deleted while an engine works: they are made anew from what other files hold, and
// where nothing does, a full image keeps everything after them.
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { formatTxid } from "../../src/core/ltx/txid.ts";
import type { ReplicaFile } from "../../src/core/replica/catalog.ts";
import { verify } from "../../src/node/restore/verify.ts";
import { checkLedger } from "../support/check-ledger.ts";
import type { Child } from "../support/children.ts";
import type { EngineChildOptions } from "../support/engine.ts";
import {
  engineReady,
  engineStatus,
  eventsOf,
  loggedEvent,
  repeatUntil,
  stopEngine,
  syncEngine,
} from "../support/engine.ts";
import { replicaFiles } from "../support/history-check.ts";
import { Scene } from "../support/scene.ts";
import { until } from "../support/until.ts";

/** As another file: a promoted one may be a link to the file below, which is to stay as it is. */
function replaceFile(path: string, bytes: Uint8Array): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

const damages = {
  "a flipped bit": (path: string) => {
    const bytes = readFileSync(path);
    const at = bytes.length >> 1;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    replaceFile(path, bytes);
  },
  "a cut end": (path: string) => {
    const bytes = readFileSync(path);
    replaceFile(path, bytes.subarray(0, bytes.length - 20));
  },
  "a deletion": (path: string) => rmSync(path),
} as const;

const cases = Object.entries(damages);

const calm: Partial<EngineChildOptions> = {
  syncIntervalMs: 0,
  levels: [100],
  snapshotIntervalMs: 3_600_000,
  snapshotRetentionMs: 3_600_000,
  l0RetentionMs: 0,
  retentionGraceMs: 0,
};

async function commitAndSync(scene: Scene, engine: Child): Promise<number> {
  const seq = await scene.app.ledger(1);
  await syncEngine(engine);
  return seq;
}

/**
 * Damages a file of level 1 that level 2 does not hold yet, and commits until the engine has logged `event` about it. Where
 * level 2 was made right before, nobody reads the file any more: then it is put right, and the next one is damaged.
 */
async function damageUntil(
  scene: Scene,
  engine: Child,
  event: string,
  { damage, isWanted }: { damage: (path: string) => void; isWanted: typeof isAny },
): Promise<ReplicaFile> {
  for (;;) {
    const file = await level1File(
      scene,
      engine,
      (one, files) => isAbove(one, files) && isWanted(one, files),
    );
    const path = join(scene.replicaPath, file.key);
    const bytes = readFileSync(path);
    damage(path);
    for (let isOpen = true; isOpen;) {
      await commitAndSync(scene, engine);
      isOpen = isAbove(file, await replicaFiles(scene.replica));
      // What was logged before the listing is here after this.
      await engineStatus(engine);
      const isMet = (line: string): boolean =>
        line.includes(` ${event} `) && line.includes(file.key);
      if (engine.lines.some(isMet)) return file;
    }
    replaceFile(path, bytes);
  }
}

function isAbove({ maxTxid }: ReplicaFile, files: readonly ReplicaFile[]): boolean {
  return files.every((one) => one.level !== 2 || one.maxTxid < maxTxid);
}

const isAny = (_file: ReplicaFile, _files: readonly ReplicaFile[]): boolean => true;

function isWithin(file: ReplicaFile, { minTxid, maxTxid }: ReplicaFile): boolean {
  return file.minTxid >= minTxid && file.maxTxid <= maxTxid;
}

/** The engine has put the file and looked at it: what happens to it now happens to a file that it relies on. */
function isMade(engine: Child, { minTxid, maxTxid }: ReplicaFile): boolean {
  const txids = `"minTxid":"${formatTxid(minTxid)}","maxTxid":"${formatTxid(maxTxid)}"`;
  return engine.lines.some((line) => line.includes(" ltx.compacted ") && line.includes(txids));
}

/** Commits until level 1 has a file that `isWanted` accepts and that is made. */
async function level1File(
  scene: Scene,
  engine: Child,
  isWanted: (file: ReplicaFile, files: readonly ReplicaFile[]) => boolean,
): Promise<ReplicaFile> {
  for (const endsAtMs = Date.now() + 60_000; Date.now() < endsAtMs;) {
    await commitAndSync(scene, engine);
    const files = await replicaFiles(scene.replica);
    const file = files.findLast(
      (one) => one.level === 1 && isWanted(one, files) && isMade(engine, one),
    );
    if (file !== undefined) return file;
  }
  throw new Error(`it never came: ${engine.lines.slice(-20).join("\n")}`);
}

test.each(cases)("%s in level 1, met by the compaction of level 2", async (_name, damage) => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...calm, levels: [100, 1_500] });
  await engineReady(engine);
  const file = await damageUntil(scene, engine, "level.repaired", { damage, isWanted: isAny });
  await repeatUntil(
    engine.line((line) => line.includes('"level":2'), engine.lines.length),
    () => commitAndSync(scene, engine),
  );
  const { levels } = await engineStatus(engine);
  // One that was damaged and put right in vain may have been met all the same.
  expect(levels.repairedFiles).toBeGreaterThan(0);
  expect(levels.lostFiles).toBe(0);
  expect(await stopEngine(engine)).toBe(0);
  const isSaid = (line: string): boolean =>
    line.includes(" level.repaired ") && line.includes(file.key);
  expect(engine.lines.filter(isSaid)).toHaveLength(1);
  await scene.prove();
  const { result, repairs } = await verify({ replica: scene.replica });
  expect({ result, repairs }).toEqual({ result: "proved", repairs: [] });
});

test.each(cases)("%s in level 1, met before its level 0 is deleted", async (_name, damage) => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...calm, l0RetentionMs: 6_000 });
  await engineReady(engine);
  const from = engine.lines.length;
  const repaired = loggedEvent(engine, "level.repaired", from);
  // All of its level 0 is there, and will be for a while.
  const file = await level1File(scene, engine, (one, files) => {
    const level0 = files.filter((other) => other.level === 0 && isWithin(other, one));
    const isWhole = level0.length === Number(one.maxTxid - one.minTxid) + 1;
    return isWhole && one.minTxid < one.maxTxid && Date.now() - one.timestampMs < 1_000;
  });
  damage(join(scene.replicaPath, file.key));
  await repeatUntil(repaired, () => commitAndSync(scene, engine));
  expect((await repaired)["key"]).toBe(file.key);
  // Now its level 0 goes, too.
  const seq = await commitAndSync(scene, engine);
  await until(async () => {
    const files = await replicaFiles(scene.replica);
    return !files.some((one) => one.level === 0 && isWithin(one, file));
  });
  expect(await stopEngine(engine)).toBe(0);
  expect(eventsOf(engine)).not.toContain("level.lost");
  expect(checkLedger(await scene.restored()).seq).toBe(seq);
  const { result, holes, repairs } = await verify({ replica: scene.replica });
  expect(result).not.toBe("failed");
  expect({ holes, repairs }).toEqual({ holes: [], repairs: [] });
});

test("a hole in level 1 that was there at the start is filled", async () => {
  await using scene = await Scene.open();
  const first = scene.engine(calm);
  await engineReady(first);
  const file = await level1File(
    scene,
    first,
    (one, files) =>
      files.some(({ level, maxTxid }) => level === 1 && maxTxid < one.minTxid) &&
      one.minTxid < one.maxTxid,
  );
  await level1File(scene, first, ({ minTxid }) => minTxid > file.maxTxid);
  expect(await stopEngine(first)).toBe(0);
  rmSync(join(scene.replicaPath, file.key));
  expect((await verify({ replica: scene.replica })).repairs).toMatchObject([
    { level: 1, from: file.minTxid, to: file.maxTxid, damaged: undefined },
  ]);
  const second = scene.engine(calm);
  await engineReady(second);
  const filled = loggedEvent(second, "level.filled");
  await repeatUntil(filled, () => commitAndSync(scene, second));
  expect(await stopEngine(second)).toBe(0);
  const names = (await replicaFiles(scene.replica)).map(({ key }) => key);
  expect(names).toContain(file.key);
  await scene.prove();
});

test("what nothing else holds is lost, and said once; a full image keeps all that comes after", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...calm, levels: [100, 2_000], l0RetentionMs: 1 });
  await engineReady(engine);
  const file = await damageUntil(scene, engine, "level.lost", {
    damage: damages["a flipped bit"],
    isWanted: (one, files) => !files.some((other) => other.level === 0 && isWithin(other, one)),
  });
  const { levels } = await engineStatus(engine);
  expect(levels.lostFiles).toBeGreaterThan(0);
  expect(levels.snapshots).toBeGreaterThan(0);
  // Compaction goes on after it, and retention does not end.
  await repeatUntil(
    engine.line((line) => line.includes('"level":2'), engine.lines.length),
    () => commitAndSync(scene, engine),
  );
  const seq = await commitAndSync(scene, engine);
  expect(await stopEngine(engine)).toBe(0);
  const isSaid = (line: string): boolean =>
    line.includes(" level.lost ") && line.includes(file.key);
  expect(engine.lines.filter(isSaid)).toHaveLength(1);
  expect(checkLedger(await scene.restored()).seq).toBe(seq);
  const { files, repairs } = await verify({ replica: scene.replica });
  const failed = files.filter(({ result }) => result === "failed");
  expect(failed.map(({ file: one }) => one.key)).toContain(file.key);
  expect(repairs).toContainEqual(expect.objectContaining({ level: 1, sources: undefined }));
});

test("validation tells a gap once, and when it is gone", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...calm, levels: [], validationIntervalMs: 50 });
  await engineReady(engine);
  for (let i = 0; i < 4; i++) await commitAndSync(scene, engine);
  const level0 = (await replicaFiles(scene.replica)).filter(({ level }) => level === 0);
  const file = level0[2];
  if (file === undefined) throw new Error("a file in the middle");
  const path = join(scene.replicaPath, file.key);
  const bytes = readFileSync(path);
  rmSync(path);
  const told = await loggedEvent(engine, "validation.failed");
  expect(told).toMatchObject({ level: 0, kind: "gap", key: level0[3]?.key });
  const { levels } = await engineStatus(engine);
  expect(levels.validationFaults).toBe(1);
  await until(
    async () => (await engineStatus(engine)).levels.validatedAtMs !== levels.validatedAtMs,
  );
  expect(eventsOf(engine).filter((event) => event === "validation.failed")).toHaveLength(1);
  writeFileSync(path, bytes);
  await loggedEvent(engine, "validation.recovered");
  expect((await engineStatus(engine)).levels.validationFaults).toBe(0);
  expect(await stopEngine(engine)).toBe(0);
});
