// Taking over from a Litestream, and leaving replicas that a Litestream can take over (docs/decisions/004).
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, test } from "vitest";
import {
  engineFailure,
  engineReady,
  eventsOf,
  loggedEvent,
  stopEngine,
  syncEngine,
} from "../support/engine.ts";
import { copyGolden, goldenSetNames, readGoldenSet } from "../support/golden.ts";
import { litestreamTakeOver, readLitestreamFiles } from "../support/litestream-model.ts";
import { Scene, removeDatabase } from "../support/scene.ts";
import { replicaFiles } from "../support/history-check.ts";
import { sha256OfFile } from "../support/live-image.ts";
import { restore } from "../../src/node/restore/restore.ts";

const daemonSets = goldenSetNames().filter(
  (name) => existsSync(join(readGoldenSet(name).path, "ltx")) && !name.startsWith("quirk"),
);

/** Litestream's local directory of a database. */
const litestreamDirectory = (path: string): string =>
  join(dirname(path), `.${basename(path)}-litestream`);

test.each(daemonSets)(
  "the replica %s of a Litestream goes on with a full image at head + 1",
  async (name) => {
    using golden = copyGolden(name);
    await using scene = await Scene.open({ transactions: 0 });
    await scene.restartApp();
    removeDatabase(scene.path);
    mkdirSync(scene.replicaPath);
    cpSync(join(golden.path, "ltx"), join(scene.replicaPath, "ltx"), {
      recursive: true,
      preserveTimestamps: true,
    });
    const before = await replicaFiles(scene.replica);
    const head = before.reduce((max, file) => (file.maxTxid > max ? file.maxTxid : max), 0n);
    await restore({ replica: scene.replica, output: scene.path });
    const engine = scene.engine({ takeOver: true });
    await engineReady(engine);
    await scene.app.exec("CREATE TABLE after_litestream(x)");
    await syncEngine(engine);
    expect(await stopEngine(engine)).toBe(0);
    await scene.app.close();
    const after = await replicaFiles(scene.replica);
    expect(after.filter((file) => file.maxTxid <= head)).toEqual(before);
    expect(after.find((file) => file.level === 0 && file.minTxid === head + 1n)).toBeDefined();
    expect(await sha256OfFile(await scene.restored())).toBe(await sha256OfFile(scene.path));
  },
);

/** What a Litestream started on the replica as it is now would do. */
function takeOver(scene: Scene): ReturnType<typeof litestreamTakeOver> {
  const wal = `${scene.path}-wal`;
  return litestreamTakeOver(
    readLitestreamFiles(scene.replicaPath),
    existsSync(wal) ? readFileSync(wal) : new Uint8Array(0),
  );
}

test("a Litestream started later takes a full image at head + 1, whatever we did before", async () => {
  await using scene = await Scene.open();
  const expectFull = async (): Promise<void> => {
    const files = await replicaFiles(scene.replica);
    const head = files.reduce((max, file) => (file.maxTxid > max ? file.maxTxid : max), 0n);
    expect(takeOver(scene)).toMatchObject({ kind: "full", txid: head + 1n });
  };
  // After the first image.
  const first = scene.engine();
  await engineReady(first);
  await syncEngine(first);
  await stopEngine(first);
  await expectFull();
  // After batches, and after commits that nobody captured.
  const second = scene.engine();
  await engineReady(second);
  for (let i = 0; i < 4; i++) {
    await scene.app.ledger(1);
    await syncEngine(second);
  }
  await stopEngine(second);
  await expectFull();
  await scene.app.ledger(3);
  await expectFull();
  // After a single pass, and after checkpoints that restart and cut the WAL.
  const once = scene.engine({ once: true });
  await engineReady(once);
  await stopEngine(once);
  await expectFull();
  await scene.app.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  await expectFull();
  await scene.app.ledger(1);
  await expectFull();
  // After retention has deleted the older level-0 files.
  const levelZero = join(scene.replicaPath, "ltx", "0");
  for (const name of readdirSync(levelZero).sort().slice(0, -1)) rmSync(join(levelZero, name));
  await expectFull();
});

test("a Litestream's local files that belong to the replica are set aside before anything is put", async () => {
  await using scene = await Scene.open();
  const first = scene.engine();
  await engineReady(first);
  await syncEngine(first);
  await stopEngine(first);
  const local = join(litestreamDirectory(scene.path), "ltx", "0");
  mkdirSync(local, { recursive: true });
  cpSync(join(scene.replicaPath, "ltx", "0"), local, { recursive: true });
  await scene.app.ledger(1);
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  const events = eventsOf(engine);
  expect(events.indexOf("litestream.set-aside")).toBeGreaterThanOrEqual(0);
  expect(events.indexOf("litestream.set-aside")).toBeLessThan(events.indexOf("ltx.uploaded"));
  expect(readdirSync(litestreamDirectory(scene.path)).join(" ")).toMatch(/^ltx\.aside-\S+$/u);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("a Litestream's local files of another replica are left alone, with a warning", async () => {
  await using scene = await Scene.open();
  const local = join(litestreamDirectory(scene.path), "ltx", "0");
  mkdirSync(local, { recursive: true });
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  expect(eventsOf(engine)).toContain("litestream.other-replica");
  expect(existsSync(local)).toBe(true);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("a Litestream that appears while the engine runs stops it, and nothing is lost", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  mkdirSync(join(litestreamDirectory(scene.path), "ltx"), { recursive: true });
  expect(await engineFailure(engine)).toMatch(/^failed engine\/litestream /u);
  rmSync(litestreamDirectory(scene.path), { recursive: true });
  await scene.app.ledger(1);
  const next = scene.engine();
  await loggedEvent(next, "database.replicating");
  await syncEngine(next);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});
