// What it costs to wake a database that has changed, and that what is left out for it is done in the end.
import { existsSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { parseLtxName } from "../../src/core/ltx/file-name.ts";
import type { FleetDatabase } from "../../src/node/engine/fleet-database.ts";
import { QuickFleet, atRest } from "../support/fleet.ts";
import { Scene } from "../support/scene.ts";
import { until } from "../support/until.ts";

/** As in a configuration file that says nothing. */
const usual = { levels: [30_000, 300_000, 3_600_000], retentionEnabled: true };

function namesIn(scene: Scene, level: number): readonly string[] {
  const directory = `${scene.replicaPath}/ltx/${level}`;
  const names = existsSync(directory) ? readdirSync(directory) : [];
  return names.filter((name) => parseLtxName(name) !== undefined);
}

/** Commits once and waits until the database is at rest again; returns what the stores were asked. */
async function wakeOnce(
  scene: Scene,
  quick: QuickFleet,
  database: FleetDatabase,
): Promise<readonly string[]> {
  const [from, rests] = [quick.calls.length, quick.count("database.hibernated")];
  await scene.app.ledger(1);
  await until(() => quick.count("database.hibernated") > rests);
  expect(database.engine).toBeUndefined();
  return quick.calls.slice(from);
}

test("a database that wakes for a commit puts one file, after a look at the file before it and one at the lease", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add({ path: scene.path, replica: scene.replica, ...usual });
  await atRest(database);
  const inLevels = (): readonly string[] => [1, 2, 3].flatMap((level) => namesIn(scene, level));
  const levels = inLevels();
  let last = namesIn(scene, 0).at(-1);
  for (let i = 0; i < 3; i++) {
    const calls = await wakeOnce(scene, quick, database);
    const newest = namesIn(scene, 0).at(-1);
    expect(calls).toEqual([`head ltx/0/${last}`, "head lease.json", `put ltx/0/${newest}`]);
    last = newest;
  }
  expect(inLevels()).toEqual(levels);
  await scene.prove();
});

test("who wakes while somebody else holds the lease puts nothing", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add({ path: scene.path, replica: scene.replica, ...usual });
  await atRest(database);
  await using other = await Scene.open();
  const second = other.engine({ replica: scene.replica });
  await until(() => existsSync(`${scene.replicaPath}/lease.json`));
  const names = namesIn(scene, 0);
  await scene.app.ledger(1);
  await until(() => quick.count("lease.watched") > 0);
  expect(namesIn(scene, 0)).toEqual(names);
  await second.end("SIGKILL");
  await quick.fleet.remove(scene.path, { signal: AbortSignal.abort(), describe: () => "" });
});

test("a database that wakes again and again gets its levels and its retention all the same", async () => {
  await using scene = await Scene.open();
  await using quick = new QuickFleet();
  const database = quick.add({
    path: scene.path,
    replica: scene.replica,
    levels: [300, 600, 4_000],
    l0RetentionMs: 1_000,
    retentionGraceMs: 6_000,
    retentionEnabled: true,
  });
  await atRest(database);
  const [first = ""] = namesIn(scene, 0);
  // No rest is as long as the grace period.
  await until(async () => {
    await wakeOnce(scene, quick, database);
    return namesIn(scene, 3).length > 0 && !namesIn(scene, 0).includes(first);
  }, 120_000);
  await scene.prove();
}, 180_000);
