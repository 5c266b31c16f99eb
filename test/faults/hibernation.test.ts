// Databases at rest: what happens to them while nobody is attached is found and replicated, whatever it is.
import {
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "vitest";
import { formatTxid } from "../../src/core/ltx/txid.ts";
import { nodeFileSystem } from "../../src/node/file/node-file-system.ts";
import { engineReady, stopEngine } from "../support/engine.ts";
import {
  QuickFleet,
  atRest,
  isAtRest,
  never,
  stopLimit,
  startFleetChild,
} from "../support/fleet.ts";
import { Scene, removeDatabase } from "../support/scene.ts";
import { SqliteProcess } from "../support/sqlite-process.ts";
import { until } from "../support/until.ts";

function optionsOf({ path, replica }: Scene): { readonly path: string; readonly replica: string } {
  return { path, replica };
}

/** Open descriptors of this process on files whose path begins so. */
function openFiles(path: string): readonly string[] {
  return readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`);
      return target.startsWith(path) ? [target] : [];
    } catch {
      return [];
    }
  });
}

test("a quiet database keeps nothing open, makes no request, and is replicated again as soon as it changes", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add(optionsOf(scene));
  await atRest(database);
  expect(database.engine).toBeUndefined();
  expect(openFiles(scene.directory.path)).toEqual([]);
  const { requests } = quick;
  const txid = await database.sync({ signal: never });
  expect(txid).toBe(database.status?.txid);
  expect(isAtRest(database)).toBe(true);
  for (let i = 0; i < 2; i++) {
    const seq = await scene.app.ledger(1);
    // Nobody asks for it: the event wakes the database.
    expect((await scene.untilReplicated()).at(-1)?.seq).toBe(seq);
    await atRest(database);
  }
  expect(quick.requests).toBeGreaterThan(requests);
  // What was captured from its first frame on needed no comparison of the whole database.
  expect(quick.count("source.unchanged") + quick.count("source.differed")).toBe(0);
  await scene.prove();
});

test("who only reads a database at rest does not wake it", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add(optionsOf(scene));
  await scene.app.close();
  await atRest(database);
  const { requests } = quick;
  for (let i = 0; i < 3; i++) {
    await scene.app.all("SELECT count(*) FROM ledger");
    await scene.app.close();
  }
  await database.sync({ signal: never });
  expect(quick.count("database.woken")).toBe(0);
  expect(quick.requests).toBe(requests);
});

/** What can happen to a database while nobody is attached. */
const changes: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  "commits in its WAL": async ({ app }) => void (await app.ledger(3)),
  "commits, and the application was killed": async (scene) => {
    await scene.app.ledger(3);
    await scene.restartApp();
  },
  "commits, and the last connection took the WAL away": async ({ app }) => {
    await app.ledger(3);
    await app.close();
  },
  "commits that were checkpointed, with others after them": async ({ app }) => {
    await app.ledger(3);
    await app.exec("PRAGMA wal_checkpoint(RESTART)");
    await app.ledger(2);
  },
  "commits that were checkpointed, and an empty WAL": async ({ app }) => {
    await app.ledger(3);
    await app.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  },
  "a VACUUM that made it smaller": async ({ app }) => {
    await app.exec(
      "CREATE TABLE IF NOT EXISTS filler (x); INSERT INTO filler VALUES (zeroblob(1e6))",
    );
    await app.exec("DELETE FROM filler");
    await app.exec("VACUUM");
    await app.close();
  },
  "commits in rollback-journal mode": async ({ app }) => {
    await app.exec(
      "PRAGMA journal_mode=DELETE; CREATE TABLE IF NOT EXISTS more (x); INSERT INTO more VALUES (1)",
    );
    await app.close();
  },
  "another file in its place": async (scene) => {
    await scene.app.close();
    const other = `${scene.path}-other`;
    copyFileSync(scene.path, other);
    await using app = new SqliteProcess(other);
    await app.ledger(2);
    await app.close();
    renameSync(other, scene.path);
  },
  "other bytes in the same file, and the old time put back": async (scene) => {
    const { atimeMs, mtimeMs } = statSync(scene.path);
    await scene.app.close();
    const other = `${scene.path}-other`;
    copyFileSync(scene.path, other);
    await using app = new SqliteProcess(other);
    await app.exec("UPDATE documents SET body = zeroblob(length(body))");
    await app.close();
    writeFileSync(scene.path, readFileSync(other));
    utimesSync(scene.path, atimeMs / 1000, mtimeMs / 1000);
  },
  "a new database where the old one was deleted": async (scene) => {
    await scene.app.close();
    removeDatabase(scene.path);
    await scene.app.exec("PRAGMA journal_mode=WAL");
    await scene.app.ledger(2);
  },
  "its WAL deleted after a checkpoint": async (scene) => {
    await scene.app.ledger(2);
    await scene.app.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    await scene.restartApp();
    for (const suffix of ["-wal", "-shm"]) rmSync(`${scene.path}${suffix}`, { force: true });
  },
};

describe("a database at rest gets", () => {
  test.concurrent.each(Object.entries(changes))(
    "%s, and is replicated as it is: while we run, and while we do not",
    async (_, change) => {
      await using scene = await Scene.open();
      {
        await using quick = new QuickFleet();
        const database = quick.add(optionsOf(scene));
        await atRest(database);
        await change(scene);
        await database.sync({ signal: never });
        await scene.prove({ mayGoBack: true });
        await atRest(database);
      }
      await change(scene);
      await using quick = new QuickFleet();
      const database = quick.add(optionsOf(scene));
      await database.started({ signal: never });
      await database.sync({ signal: never });
      await scene.prove({ mayGoBack: true });
    },
  );
});

test("a start opens only what has changed since everything was put to rest", async () => {
  await using scenes = new AsyncDisposableStack();
  const all: Scene[] = [];
  for (let i = 0; i < 4; i++) all.push(scenes.use(await Scene.open()));
  {
    await using quick = new QuickFleet();
    await Promise.all(all.map((scene) => atRest(quick.add(optionsOf(scene)))));
  }
  const [changed] = all;
  const seq = await changed?.app.ledger(1);
  await using quick = new QuickFleet();
  const databases = all.map((scene) => quick.add(optionsOf(scene)));
  await Promise.all(databases.map((database) => database.sync({ signal: never })));
  expect(databases.map((database) => isAtRest(database))).toEqual([false, true, true, true]);
  expect(quick.count("database.attached")).toBe(1);
  expect((await changed?.prove())?.at(-1)?.seq).toBe(seq);
});

test.concurrent.each([
  "open rest.json.tmp",
  "write rest.json.tmp",
  "rename rest.json",
  // The second lock is that of the engine that a commit has woken.
  "rename lock.json",
])("killed right before %s, the next start loses nothing", async (call) => {
  await using scene = await Scene.open();
  const [name, file = ""] = call.split(" ");
  const isWaking = file === "lock.json";
  if (isWaking) {
    await using quick = new QuickFleet();
    await atRest(quick.add(optionsOf(scene)));
  }
  const killBefore = `${name} ${scene.stateDirectory}/${file}`;
  await using child = startFleetChild({ ...optionsOf(scene), killBefore });
  let seq = 0;
  if (isWaking) {
    await child.line((line) => line === "event database.hibernated");
    seq = await scene.app.ledger(1);
  }
  expect((await child.exited).signal).toBe("SIGKILL");
  if (!isWaking) seq = await scene.app.ledger(1);
  await using quick = new QuickFleet();
  await quick.add(optionsOf(scene)).sync({ signal: never });
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

test("what is committed while a database is put to rest, or right after, is replicated without being asked for", async () => {
  await using scene = await Scene.open();
  let seq = 0;
  await using quick = new QuickFleet({
    fileSystem: {
      ...nodeFileSystem,
      rename: async (from, to) => {
        // The files have been looked at; the engine still runs.
        if (to.endsWith("rest.json")) seq = await scene.app.ledger(1);
        await nodeFileSystem.rename(from, to);
      },
    },
  });
  quick.add(optionsOf(scene));
  for (let i = 1; i <= 2; i++) {
    await until(() => quick.count("database.woken") >= i);
    expect(seq).toBeGreaterThan(0);
  }
  await quick[Symbol.asyncDispose]();
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

test("a transaction that has begun to write its WAL keeps the database awake until it is committed", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add(optionsOf(scene));
  await atRest(database);
  await scene.app.exec(`
    CREATE TABLE big (x); PRAGMA cache_size=10; BEGIN;
    INSERT INTO big SELECT zeroblob(3000) FROM (SELECT 1 FROM ledger a, ledger b);`);
  expect(statSync(`${scene.path}-wal`).size).toBeGreaterThan(100_000);
  await until(() => quick.count("database.woken") > 0);
  // The engine waits for the write lock, longer than a database whose files are quiet would be left awake.
  await until(() => quick.count("database.waiting") > 0);
  expect(isAtRest(database)).toBe(false);
  await scene.app.exec("COMMIT");
  await scene.untilReplicated();
});

test("levels that were left to do when a database was put to rest are made later", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add({ ...optionsOf(scene), levels: [300, 600, 5_000] });
  const isWokenForUpkeep = (): boolean =>
    quick.events.some(
      ({ event, fields }) => event === "database.woken" && fields["why"] === "upkeep",
    );
  const level3 = (): readonly string[] => {
    const directory = scene.directory.file("replica/ltx/3");
    return existsSync(directory) ? readdirSync(directory) : [];
  };
  // An interval may end before the database has been put to rest.
  while (!isWokenForUpkeep()) {
    await scene.app.ledger(1);
    const txid = formatTxid(await database.sync({ signal: never }));
    await until(() => level3().some((name) => name.endsWith(`-${txid}.ltx`)));
  }
  await scene.prove();
});

test("more databases than may be awake at once are all replicated, one after the other", async () => {
  await using scenes = new AsyncDisposableStack();
  await using quick = new QuickFleet({ maxAwake: 2, hibernateAfterMs: 3_600_000 });
  const all: Scene[] = [];
  for (let i = 0; i < 5; i++) all.push(scenes.use(await Scene.open()));
  const databases = all.map((scene) => quick.add(optionsOf(scene)));
  await Promise.all(databases.map((database) => database.started({ signal: never })));
  expect(quick.count("fleet.crowded")).toBe(1);
  await Promise.all(databases.map((database) => database.sync({ signal: never })));
  for (const scene of all) await scene.prove();
});

test("a Litestream that has come to a database at rest stops it", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add(optionsOf(scene));
  await atRest(database);
  await nodeFileSystem.makeDirectory(scene.directory.file(".app.db-litestream/ltx"));
  await scene.app.ledger(1);
  await until(() => quick.count("database.stopped") > 0);
  expect(database.failure).toMatchObject({ code: "engine/litestream" });
  // Its failure is no failure of this test.
  await quick.fleet.remove(scene.path, stopLimit());
});

test("another process may take over a database at rest: ours says so, and goes on after it", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add(optionsOf(scene));
  await atRest(database);
  const other = scene.engine();
  await engineReady(other);
  const seq = await scene.app.ledger(2);
  await until(() => quick.count("database.failed") > 0);
  expect(database.failure).toMatchObject({ code: "engine/locked" });
  expect(await stopEngine(other)).toBe(0);
  await scene.app.ledger(1);
  await until(() => database.failure === undefined);
  await database.sync({ signal: never });
  expect((await scene.prove()).at(-1)?.seq).toBe(seq + 1);
});
