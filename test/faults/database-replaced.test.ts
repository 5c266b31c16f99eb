// A database that goes away or becomes another one while it is replicated.
import { copyFileSync, renameSync, rmSync, statSync, truncateSync } from "node:fs";
import { expect, test } from "vitest";
import { engineReady, loggedEvent, syncEngine } from "../support/engine.ts";
import type { RestorePoint } from "../support/history-check.ts";
import { Scene, expectKept, removeDatabase } from "../support/scene.ts";

/** A new database at the path continues the history by itself. */
async function expectContinued(scene: Scene, before: readonly RestorePoint[]): Promise<void> {
  await scene.app.exec("PRAGMA journal_mode=WAL");
  await scene.app.ledger(2, { seed: 2 });
  const points = await scene.untilReplicated();
  expectKept(before, points);
  expect(points.at(-1)?.seq).toBe(2);
}

test("a deleted database keeps its history, and a new one in its place continues it by itself", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  const before = await scene.prove();
  await scene.restartApp();
  removeDatabase(scene.path);
  await loggedEvent(engine, "database.gone");
  await loggedEvent(engine, "database.waiting");
  await expectContinued(scene, before);
});

test("a database renamed over the live one is noticed and replicated by itself", async () => {
  await using scene = await Scene.open();
  const other = scene.directory.file("other.db");
  await scene.app.close();
  copyFileSync(scene.path, other);
  const engine = scene.engine();
  await engineReady(engine);
  await scene.app.ledger(5);
  await syncEngine(engine);
  const before = await scene.prove();
  await scene.restartApp();
  for (const suffix of ["-wal", "-shm"]) rmSync(`${scene.path}${suffix}`);
  renameSync(other, scene.path);
  await loggedEvent(engine, "database.gone");
  const points = await scene.untilReplicated();
  expectKept(before, points);
  expect(points.at(-1)?.seq).toBe(20);
});

test.each([
  ["nothing", 0],
  ["half", 0.5],
])("a database cut to %s underneath is noticed, and its history is kept", async (_what, part) => {
  await using scene = await Scene.open({ transactions: 200 });
  await scene.app.close();
  const engine = scene.engine();
  await engineReady(engine);
  await scene.app.ledger(3);
  await syncEngine(engine);
  const before = await scene.prove();
  await scene.restartApp();
  const pages = statSync(scene.path).size / 4096;
  truncateSync(scene.path, Math.floor(pages * part) * 4096);
  await loggedEvent(engine, "database.gone");
  // What is left is no database any more; whoever repairs it puts another one there.
  removeDatabase(scene.path);
  await loggedEvent(engine, "database.waiting");
  await expectContinued(scene, before);
});

test("a deleted WAL is noticed, and what is left is replicated", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine();
  await engineReady(engine);
  await scene.app.ledger(5);
  await syncEngine(engine);
  const before = await scene.prove();
  await scene.restartApp();
  rmSync(`${scene.path}-wal`);
  rmSync(`${scene.path}-shm`);
  await loggedEvent(engine, "database.gone");
  await loggedEvent(engine, "database.attached", engine.lines.length);
  await syncEngine(engine);
  await expect(
    scene.untilReplicated().then((points) => expectKept(before, points)),
  ).resolves.toBeUndefined();
});
