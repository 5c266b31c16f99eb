// What an application does while no engine runs. Litestream loses commits or corrupts its replica in several of these,
// silently (docs/decisions/004); each must end in a replica that equals the source, with the older restore points kept.
import { copyFileSync, rmSync } from "node:fs";
import { expect, test } from "vitest";
import { engineFailure, engineReady, stopEngine, syncEngine } from "../support/engine.ts";
import type { RestorePoint } from "../support/history-check.ts";
import { Scene, expectKept, removeDatabase } from "../support/scene.ts";

type Gap = (scene: Scene) => Promise<void>;

/** Replicates, stops, and gives the restore points there are then. */
async function replicateAndStop(
  scene: Scene,
  transactions?: number,
): Promise<readonly RestorePoint[]> {
  const engine = scene.engine();
  await engineReady(engine);
  if (transactions !== undefined) await scene.app.ledger(transactions);
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  return scene.prove();
}

/** Replicates what stands in the place of the database now; what there was stays, and the newest has `seq`. */
async function expectContinued(
  scene: Scene,
  before: readonly RestorePoint[],
  seq: number,
): Promise<void> {
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  const points = await scene.prove({ mayGoBack: true });
  expectKept(before, points);
  expect(points.at(-1)?.seq).toBe(seq);
}

/** Replicates, stops, lets `gap` happen, replicates again and proves everything. */
async function survive(scene: Scene, gap: Gap): Promise<void> {
  const before = await replicateAndStop(scene, 5);
  await gap(scene);
  const second = scene.engine();
  await engineReady(second);
  await scene.app.ledger(3);
  await syncEngine(second);
  expectKept(before, await scene.prove());
  expect(await stopEngine(second)).toBe(0);
}

const gaps: Readonly<Record<string, Gap>> = {
  "commits of an application that stays open": async ({ app }) => {
    await app.ledger(7);
  },
  "commits of an application that closes, which empties and deletes the WAL": async ({ app }) => {
    await app.ledger(7);
    await app.close();
  },
  "commits of an application that is killed": async (scene) => {
    await scene.app.ledger(7);
    await scene.restartApp();
  },
  "a PASSIVE checkpoint, then commits": async ({ app }) => {
    await app.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await app.ledger(4);
  },
  "a RESTART checkpoint, then fewer frames than had been read": async ({ app }) => {
    await app.ledger(4);
    await app.exec("PRAGMA wal_checkpoint(RESTART)");
    await app.ledger(1, { changes: 0 });
  },
  "a RESTART checkpoint, then more frames than had been read": async ({ app }) => {
    await app.exec("PRAGMA wal_checkpoint(RESTART)");
    await app.ledger(60);
  },
  "a TRUNCATE checkpoint and nothing else": async ({ app }) => {
    await app.ledger(4);
    await app.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  },
  "a TRUNCATE checkpoint, then commits": async ({ app }) => {
    await app.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    await app.ledger(4);
  },
  "a VACUUM that shrinks": async ({ app }) => {
    await app.ledger(3);
    await app.exec("DROP INDEX documents_by_author; VACUUM");
  },
  "journal_mode switched to DELETE and back": async ({ app }) => {
    await app.exec("PRAGMA journal_mode=DELETE");
    await app.ledger(4);
    await app.exec("PRAGMA journal_mode=WAL");
    await app.ledger(2);
  },
  "journal_mode left at DELETE": async ({ app }) => {
    await app.exec("PRAGMA journal_mode=DELETE");
    await app.ledger(4);
  },
  "nothing at all": async () => {},
};

test.each(Object.entries(gaps))("survives %s", async (_name, gap) => {
  await using scene = await Scene.open();
  await expect(survive(scene, gap)).resolves.toBeUndefined();
});

test("an older copy put back continues the history after what was there", async () => {
  await using scene = await Scene.open();
  await scene.app.close();
  const copy = scene.directory.file("copy.db");
  copyFileSync(scene.path, copy);
  const before = await replicateAndStop(scene, 9);
  await scene.app.close();
  copyFileSync(copy, scene.path);
  for (const suffix of ["-wal", "-shm"]) rmSync(`${scene.path}${suffix}`, { force: true });
  await expectContinued(scene, before, 20);
});

test("a new database in the place of a deleted one continues the numbering", async () => {
  await using scene = await Scene.open();
  const before = await replicateAndStop(scene);
  await scene.app.close();
  removeDatabase(scene.path);
  await scene.app.exec("PRAGMA journal_mode=WAL");
  await scene.app.ledger(2, { seed: 2 });
  await expectContinued(scene, before, 2);
});

test("a VACUUM to another page size is refused with the command that starts a new path", async () => {
  await using scene = await Scene.open();
  const before = await replicateAndStop(scene);
  await scene.app.exec("PRAGMA journal_mode=DELETE; PRAGMA page_size=1024; VACUUM");
  await scene.app.exec("PRAGMA journal_mode=WAL");
  const second = scene.engine();
  const failure = await engineFailure(second);
  expect(failure).toMatch(/^failed capture\/page-size /u);
  expect(failure).toContain(`headwater replicate ${scene.path} ${scene.replica}-1024`);
  const fresh = scene.engine({
    replica: `${scene.replica}-1024`,
    stateDir: scene.directory.file("state-1024"),
  });
  await engineReady(fresh);
  await syncEngine(fresh);
  await scene.prove({ replica: `${scene.replica}-1024` });
  expectKept(before, await scene.history());
});
