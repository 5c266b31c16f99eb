// Followers of replicas that a real engine writes: the replica goes another way, or is merged and thinned, while an output is
// healed by its pages.
import { cpSync, readFileSync, rmSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { CountedReplica } from "../support/counted-store.ts";
import { engineReady, eventsOf, stopEngine, syncEngine } from "../support/engine.ts";
import { SteppedFollower, bytesOf, patchedLike } from "../support/follow.ts";
import { flipBit } from "../support/healing-scene.ts";
import { liveImage } from "../support/live-image.ts";
import { Scene } from "../support/scene.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);

/** 2 MB that do not change, so that a full image can be told from some pages. */
const large = `CREATE TABLE large(id INTEGER PRIMARY KEY, body BLOB);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
  INSERT INTO large SELECT i, randomblob(3500) FROM n`;
const largeBytes = 500 * 3500;

/** Throws unless the output is the live database. */
async function expectLive(scene: Scene, output: string): Promise<void> {
  const path = scene.directory.file("live.db");
  await liveImage(scene.path, path);
  const found = bytesOf(output);
  expect(Buffer.compare(found, patchedLike(readFileSync(path), found))).toBe(0);
}

test.each<readonly [string, (scene: Scene) => Promise<void>]>([
  ["the primary's database is kept", async () => undefined],
  ["the primary is restored from what is left", (scene) => scene.restoreInPlace()],
])(
  "goes back by pages when files are lost with the state of the primary: %s",
  async (_, recover) => {
    await using scene = await Scene.open();
    await scene.app.exec(large);
    const first = scene.engine();
    await engineReady(first);
    await syncEngine(first);
    const counted = new CountedReplica();
    const output = scene.directory.file("followed.db");
    const { openReplica } = counted;
    await using follower = await SteppedFollower.open(scene.replica, { output }, { openReplica });
    await follower.catchUp();
    const commit = async (engine: typeof first, sql: string): Promise<void> => {
      await scene.app.exec(sql);
      await syncEngine(engine);
      await follower.catchUp();
    };
    await commit(first, "UPDATE large SET body = randomblob(3500) WHERE id = 7");
    const kept = scene.directory.file("kept");
    cpSync(scene.replicaPath, kept, { recursive: true, preserveTimestamps: true });
    for (const id of [70, 140, 210]) {
      await commit(first, `UPDATE large SET body = randomblob(3500) WHERE id = ${id}`);
    }
    const ahead = follower.txid ?? 0n;
    await stopEngine(first);
    // As if the newest files had only been staged: they are gone with the state.
    for (const path of [scene.replicaPath, scene.stateDirectory]) rmSync(path, { recursive: true });
    cpSync(kept, scene.replicaPath, { recursive: true, preserveTimestamps: true });
    await recover(scene);
    counted.take();

    const second = scene.engine({ clockSpeed: 200 });
    await engineReady(second);
    await commit(second, "UPDATE large SET body = randomblob(3500) WHERE id = 280");
    expect(follower.log).toContainEqual({
      event: "follow.healing",
      fields: { path: output, reason: "history-changed" },
    });
    expect(follower.events).not.toContain("follow.pages-failed");
    expect(counted.takeBytes()).toBeLessThan(largeBytes / 2);
    await expectLive(scene, output);
    for (let more = 0n; more < 5n; more++) {
      await commit(second, "UPDATE large SET body = randomblob(3500) WHERE id = 300");
    }
    expect(follower.txid).toBeGreaterThan(ahead);
    await expectLive(scene, output);
    await stopEngine(second);
  },
);

test(`heals while files are merged and deleted (HEADWATER_SEED=${seed})`, async () => {
  const random = createSeededRandom(seed);
  await using scene = await Scene.open();
  await scene.app.exec(large);
  // Level 1 every 30 s, level 0 goes after 5 minutes: 50 ms and half a second.
  const engine = scene.engine({ clockSpeed: 600, syncIntervalMs: 0, pageChecksums: true });
  await engineReady(engine);
  await syncEngine(engine);
  const output = scene.directory.file("followed.db");
  await using follower = await SteppedFollower.open(scene.replica, { output });
  for (let round = 0; round < 30; round++) {
    await scene.app.ledger(1);
    await syncEngine(engine);
    if (round % 3 === 0) {
      await follower.catchUp();
      const pages = statSync(output).size / 4096;
      // Page 1 stays as it is: a database that is none any more is another case.
      const pgno = 2 + Math.floor(random.float() * (pages - 1));
      flipBit(output, (pgno - 0.5) * 4096);
    }
    await follower.catchUp();
  }
  expect(follower.events.filter((event) => event === "follow.healing").length).toBeGreaterThan(5);
  await expectLive(scene, output);
  await stopEngine(engine);
  expect(eventsOf(engine)).not.toContain("level.failed");
});
