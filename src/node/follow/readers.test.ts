// What programs see that have the output open while it is followed.
import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../core/base/clock.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { SteppedFollower } from "../../../test/support/follow.ts";
import { endState, followed } from "../../../test/support/followed.ts";
import { FollowScene } from "../../../test/support/follow-scene.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";

describe("readers", () => {
  it("keep their snapshot: the follower waits, says so, and applies when they have ended", async () => {
    const { scene, follower } = await followed(1);
    using _ = scene;
    await using reader = new SqliteProcess(scene.output);
    await reader.exec("BEGIN");
    const count = "SELECT count(*) AS n FROM t";
    expect(await reader.all(count)).toEqual([{ n: 0 }]);
    await scene.publish(2);
    const applied = follower.catchUp();
    await expect.poll(() => follower.events, { timeout: 30_000 }).toContain("follow.waiting");
    expect(await reader.all(count)).toEqual([{ n: 0 }]);
    await reader.exec("COMMIT");
    expect(await applied).toBe(2n);
    expect(await reader.all(count)).toEqual([{ n: 401 }]);
    await reader.close();
    expect(await endState(scene, follower)).toBe(2);
  });

  it("that stay too long are an error, which says who they are, until they end", async () => {
    const { scene, follower: first } = await followed(1);
    using _ = scene;
    await first[Symbol.asyncDispose]();
    const clock = hastyClock();
    const follower = await SteppedFollower.open(scene.url, scene, { clock });
    await using reader = new SqliteProcess(scene.output);
    await reader.exec("BEGIN");
    await reader.all("SELECT count(*) FROM t");
    await scene.publish(2);
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(follower.catchUp()).rejects.toMatchObject({
        code: "follow/blocked",
        message: expect.stringContaining(`(process ${reader.pid})`),
      });
    }
    // A start leaves it to the steps, as any other trouble.
    await follower[Symbol.asyncDispose]();
    const next = await SteppedFollower.open(scene.url, scene, { clock });
    expect(next.txid).toBeUndefined();
    await reader.exec("COMMIT");
    await reader.close();
    expect(await next.catchUp()).toBe(2n);
    expect(await endState(scene, next)).toBe(2);
  });

  it.each(["DELETE", "WAL"])(
    "of a database that is not ours stay with it when it becomes the output (%s)",
    async (journalMode) => {
      using scene = new FollowScene();
      await scene.publish(1, 2);
      await using reader = new SqliteProcess(scene.output);
      await reader.exec(`PRAGMA journal_mode = ${journalMode}; CREATE TABLE t(x)`);
      await reader.exec("INSERT INTO t VALUES(1)");
      // Who has it open in WAL mode keeps it there.
      if (journalMode === "WAL") await reader.close();
      const { ino } = statSync(scene.output);
      const options = { output: scene.output, force: true };
      const follower = await SteppedFollower.open(scene.url, options, {}, { isOurs: false });
      expect(await reader.all("SELECT count(*) AS n FROM t")).toEqual([{ n: 401 }]);
      expect(statSync(scene.output).ino).toBe(ino);
      await reader.close();
      await scene.publish(3);
      expect(await follower.catchUp()).toBe(3n);
      expect(follower.events).not.toContain("follow.installed");
      expect(await endState(scene, follower)).toBe(3);
    },
  );

  it.each([
    [4096, 8192],
    [8192, 4096],
    [65536, 512],
  ])("go on when the pages of %d bytes become pages of %d", async (before, after) => {
    const { scene, follower } = await followed(2, before);
    using _ = scene;
    await using reader = new SqliteProcess(scene.output);
    const count = "SELECT count(*) AS n FROM t";
    expect(await reader.all(count)).toEqual([{ n: 401 }]);
    using other = new FollowScene(undefined, after);
    rmSync(scene.replicaPath, { recursive: true });
    await other.history.writeFiles(scene.replicaPath, [{ level: 0, min: 1, max: 1 }]);
    await follower.catchUp();
    expect(await reader.all(count)).toEqual([{ n: 0 }]);
    await other.history.writeFiles(scene.replicaPath, [{ level: 0, min: 2, max: 2 }]);
    await follower.catchUp();
    expect(await reader.all(count)).toEqual([{ n: 401 }]);
    await reader.close();
    await follower[Symbol.asyncDispose]();
    expect(other.stateOf(scene.output)).toBe(2);
  });

  it("counts its changes as SQLite does, so that no page cache takes a later state for its own", async () => {
    const { scene, follower } = await followed(1);
    using _ = scene;
    const counterOf = (): number => readFileSync(scene.output).readUInt32BE(24);
    const first = counterOf();
    for (const txid of [2, 3, 4]) {
      await scene.publish(txid);
      await follower.catchUp();
      expect(counterOf()).toBe((first + txid - 1) % 2 ** 32);
    }
    expect(await endState(scene, follower)).toBe(4);
  });

  it("see one state or the other when the disk fails while the page size changes", async () => {
    using scene = new FollowScene();
    using other = new FollowScene(undefined, 8192);
    const out = scene.directory.file("out");
    for (let failing = 1; ; failing++) {
      for (const directory of [out, scene.replicaPath]) {
        rmSync(directory, { recursive: true, force: true });
      }
      mkdirSync(out);
      await scene.publish(1, 2);
      let [calls, from] = [0, Infinity];
      const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ path }) =>
        !path.endsWith(".image") && ++calls === from ? "EIO" : undefined,
      );
      const follower = await SteppedFollower.open(scene.url, scene, { fileSystem });
      rmSync(scene.replicaPath, { recursive: true });
      await other.history.writeFiles(scene.replicaPath, [{ level: 0, min: 1, max: 1 }]);
      from = calls + failing;
      await follower.catchUp().catch(() => undefined);
      const isOver = calls < from;
      from = Infinity;
      {
        using db = new DatabaseSync(scene.output);
        const n = Number(db.prepare("SELECT count(*) AS n FROM t").get()?.["n"]);
        expect([0, 401], `call ${failing}`).toContain(n);
        expect(db.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
      }
      expect(await follower.catchUp(), `call ${failing}`).toBe(1n);
      await follower[Symbol.asyncDispose]();
      expect(other.stateOf(scene.output), `call ${failing}`).toBe(1);
      if (isOver) return expect(failing).toBeGreaterThan(20);
    }
  });
});

/** Sleeps are over at once, and seem twenty times as long: a minute goes by in a few attempts. */
function hastyClock(): Clock {
  const clock = new VirtualClock({ isEager: true });
  return {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    sleep: (ms, waiting) => clock.sleep(20 * ms, waiting),
  };
}
