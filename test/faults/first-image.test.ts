// First images that take long, while the application goes on writing.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  engineReady,
  loggedEvent,
  repeatUntil,
  syncEngine,
  tellEngine,
} from "../support/engine.ts";
import { replicaFiles } from "../support/history-check.ts";
import { Scene } from "../support/scene.ts";

/** A database whose image takes some seconds at the throttled speed. */
async function withBulk(): Promise<Scene> {
  const scene = await Scene.open();
  await scene.app.exec("CREATE TABLE bulk(x); INSERT INTO bulk VALUES(randomblob(900000))");
  return scene;
}

/** The WAL is looked at every 0.1 s; the throttle keeps real time. */
const throttled = { throttleBytesPerSecond: 500_000, clockSpeed: 10, maxWalSizeBytes: 1 << 20 };

test("an image throttled under load is the database of one moment, and everything after it follows", async () => {
  await using scene = await withBulk();
  const engine = scene.engine({ throttleBytesPerSecond: 1_000_000 });
  await loggedEvent(engine, "database.attached");
  await repeatUntil(engineReady(engine), () => scene.app.ledger(5));
  const seq = await scene.app.ledger(5);
  await syncEngine(engine);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

test("when the WAL outgrows its limit the image is finished locally, uploaded from there, and removed", async () => {
  await using scene = await withBulk();
  const engine = scene.engine(throttled);
  await loggedEvent(engine, "database.attached");
  await scene.app.exec("CREATE TABLE more(x); INSERT INTO more VALUES(zeroblob(1500000))");
  await loggedEvent(engine, "image.staged-locally");
  await engineReady(engine);
  const seq = await scene.app.ledger(5);
  await syncEngine(engine);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
  expect((await replicaFiles(scene.replica)).filter((file) => file.level === 9)).toHaveLength(1);
  const staged = join(scene.stateDirectory, "ltx", "9");
  expect(existsSync(staged) ? readdirSync(staged) : []).toEqual([]);
});

test.each([
  ["while it is written locally", "rename", "ltx/9/"],
  ["before its level-0 file", "open", "ltx/0/0000000000000002.ltx.tmp"],
  ["before it is uploaded", "link", "replica/ltx/9/"],
  ["before it is removed", "unlink", "ltx/9/0000000000000001-0000000000000001.ltx"],
])("a kill of a locally finished image %s loses nothing", async (_when, call, path) => {
  await using scene = await withBulk();
  const prefix = path.startsWith("replica") ? scene.directory.path : scene.stateDirectory;
  const engine = scene.engine({
    ...throttled,
    killBefore: `${call} ${prefix}/${path}`,
  });
  await loggedEvent(engine, "database.attached");
  await scene.app.exec("CREATE TABLE more(x); INSERT INTO more VALUES(zeroblob(1500000))");
  expect((await engine.exited).signal).toBe("SIGKILL");
  await scene.app.ledger(1);
  const next = scene.engine();
  await engineReady(next);
  const seq = await scene.app.ledger(1);
  await syncEngine(next);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

test("a store that goes away during the image gets it anew when it comes back", async () => {
  await using scene = await withBulk();
  const engine = scene.engine({ clockSpeed: 10 });
  await tellEngine(engine, "fail");
  await loggedEvent(engine, "replica.waiting");
  await scene.app.ledger(5);
  await tellEngine(engine, "heal");
  await engineReady(engine);
  const seq = await scene.app.ledger(5);
  await syncEngine(engine);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});
