// What a follower does with a replica, and an output, that are not as they should be.
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { litestreamLayout } from "../../core/replica/layout.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { SteppedFollower, partOf } from "../../../test/support/follow.ts";
import { endState, followed } from "../../../test/support/followed.ts";
import { FollowScene } from "../../../test/support/follow-scene.ts";
import { ltxPath, pageOf, writeLtx } from "../../../test/support/replica-builder.ts";
import { databaseStates } from "../../../test/support/sqlite-history.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { systemEnvironment } from "../restore/environment.ts";
import { resolveFollowOptions } from "./follow-options.ts";
import { startFollower } from "./running-follower.ts";

describe("a follower", () => {
  it.each([512, 1024, 4096, 65536])(
    "goes through growth, a shrink and growth in pages of %d bytes",
    async (pageSize) => {
      const { scene, follower } = await followed(1, pageSize);
      using _ = scene;
      for (let txid = 2; txid <= scene.states.length; txid++) {
        await scene.publish(txid);
        expect(await follower.catchUp()).toBe(BigInt(txid));
        const text = readFileSync(`${scene.output}-txid`, "utf8");
        expect(text).toBe(`${txid.toString(16).padStart(16, "0")}\n`);
      }
      expect(await endState(scene, follower)).toBe(scene.states.length);
      expect(follower.events).not.toContain("follow.healing");
    },
  );

  it("goes on where it ended, without reading the output", async () => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    await follower[Symbol.asyncDispose]();
    await scene.publish(3, 4);
    const next = await SteppedFollower.open(scene.url, scene);
    expect(next.txid).toBe(2n);
    await next.catchUp();
    expect(next.events).toEqual(["follow.applied"]);
    expect(await endState(scene, next)).toBe(4);
  });

  it("takes what it missed from merged files when level 0 is gone", async () => {
    const { scene, follower } = await followed(1);
    using _ = scene;
    await scene.history.writeFiles(scene.replicaPath, [
      { level: 2, min: 2, max: 3 },
      { level: 0, min: 4, max: 4 },
    ]);
    rmSync(ltxPath(scene.replicaPath, { level: 0, min: 1, max: 1 }));
    expect(await follower.catchUp()).toBe(4n);
    expect(follower.events).not.toContain("follow.healing");
    expect(await endState(scene, follower)).toBe(4);
  });

  it("crosses a hole by way of a full image", async () => {
    const { scene, follower } = await followed(1);
    using _ = scene;
    await scene.history.writeFiles(scene.replicaPath, [{ level: 9, min: 1, max: 3 }]);
    await scene.publish(4);
    expect(await follower.catchUp()).toBe(4n);
    expect(follower.log).toContainEqual({
      event: "follow.healing",
      fields: { path: scene.output, reason: "gap" },
    });
    expect(await endState(scene, follower)).toBe(4);
  });

  it("names a damaged file, and takes the same from another as soon as there is one", async () => {
    const { scene, follower } = await followed(1);
    using _ = scene;
    await scene.publish(2, 3);
    const path = ltxPath(scene.replicaPath, { level: 0, min: 2, max: 2 });
    const bytes = readFileSync(path);
    bytes[500] = (bytes[500] ?? 0) ^ 0xff;
    writeFileSync(path, bytes);
    await expect(follower.catchUp()).rejects.toThrow(/0000000000000002-0000000000000002.ltx/u);
    await expect(follower.catchUp()).rejects.toMatchObject({ code: "replica/gap" });
    expect(follower.txid).toBe(1n);
    await scene.history.writeFiles(scene.replicaPath, [{ level: 1, min: 2, max: 3 }]);
    expect(await follower.catchUp()).toBe(3n);
    expect(await endState(scene, follower)).toBe(3);
  });

  it("never shows pages that are not those captured, though their checksum fits", async () => {
    const { scene, follower } = await followed(1);
    using _ = scene;
    const swap = new Map([[2, pageOf(scene.pageSize, 9)]]);
    const range = { level: 0, min: 2, max: 2 };
    writeLtx(scene.replicaPath, range, await scene.history.fileOf(range, {}, swap));
    await expect(follower.step()).rejects.toMatchObject({ code: "replica/proof" });
    expect(await endState(scene, follower)).toBe(1);
  });

  it("follows a replica that was begun anew, back and forth", async () => {
    const { scene, follower } = await followed(3);
    using _ = scene;
    using other = new FollowScene(databaseStates(scene.pageSize));
    rmSync(scene.replicaPath, { recursive: true });
    await expect(follower.catchUp()).resolves.toBe(3n);
    await other.history.writeFiles(scene.replicaPath, [{ level: 0, min: 1, max: 1 }]);
    expect(await follower.catchUp()).toBe(1n);
    for (const txid of [2, 3, 4]) {
      await other.history.writeFiles(scene.replicaPath, [{ level: 0, min: txid, max: txid }]);
    }
    expect(await follower.catchUp()).toBe(4n);
    await follower[Symbol.asyncDispose]();
    expect(other.stateOf(scene.output)).toBe(4);
  });

  it("notices another history at the very TXID it is at", async () => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    using other = new FollowScene(databaseStates(scene.pageSize));
    rmSync(scene.replicaPath, { recursive: true });
    await other.history.writeFiles(scene.replicaPath, [
      { level: 0, min: 1, max: 1 },
      { level: 0, min: 2, max: 2 },
    ]);
    expect(await follower.catchUp()).toBe(2n);
    await follower[Symbol.asyncDispose]();
    expect(other.stateOf(scene.output)).toBe(2);
  });

  it("notices another history by its proof", async () => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    using other = new FollowScene(databaseStates(scene.pageSize));
    rmSync(scene.replicaPath, { recursive: true });
    await other.history.writeFiles(scene.replicaPath, [
      { level: 9, min: 1, max: 2 },
      { level: 0, min: 3, max: 3 },
    ]);
    expect(await follower.catchUp()).toBe(3n);
    expect(follower.events).toContain("follow.healing");
    await follower[Symbol.asyncDispose]();
    expect(other.stateOf(scene.output)).toBe(3);
  });

  it("notices another history whose merged file begins before the TXID it is at", async () => {
    // Table a has other rows in each history, which no later file holds again.
    const states = databaseStates(4096, [
      "CREATE TABLE a(x); CREATE TABLE b(x); INSERT INTO a VALUES(randomblob(3000))",
      ...Array.from({ length: 3 }, () => "INSERT INTO b VALUES(randomblob(100))"),
    ]);
    const { scene, follower } = await followed(3);
    using _ = scene;
    using other = new FollowScene(states);
    rmSync(scene.replicaPath, { recursive: true });
    await other.history.writeFiles(scene.replicaPath, [
      { level: 9, min: 1, max: 1 },
      { level: 1, min: 2, max: 4 },
    ]);
    expect(await follower.catchUp()).toBe(4n);
    await follower[Symbol.asyncDispose]();
    expect(other.stateOf(scene.output)).toBe(4);
  });

  it("notices another history by its page size", async () => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    using other = new FollowScene(undefined, 8192);
    rmSync(scene.replicaPath, { recursive: true });
    await other.history.writeFiles(scene.replicaPath, [
      { level: 9, min: 1, max: 2 },
      { level: 0, min: 3, max: 3 },
    ]);
    expect(await follower.catchUp()).toBe(3n);
    await follower[Symbol.asyncDispose]();
    expect(other.stateOf(scene.output)).toBe(3);
  });

  it("stays where it is when a merged file that begins before that is damaged", async () => {
    const { scene, follower } = await followed(3);
    using _ = scene;
    for (const txid of [2, 3]) {
      rmSync(ltxPath(scene.replicaPath, { level: 0, min: txid, max: txid }));
    }
    const swap = new Map([[2, pageOf(scene.pageSize, 9)]]);
    const range = { level: 1, min: 2, max: 4 };
    writeLtx(scene.replicaPath, range, await scene.history.fileOf(range, {}, swap));
    await expect(follower.catchUp()).rejects.toMatchObject({ code: "replica/proof" });
    await expect(follower.catchUp()).rejects.toMatchObject({ code: "replica/gap" });
    await scene.history.writeFiles(scene.replicaPath, [{ level: 2, min: 3, max: 4 }]);
    expect(await follower.catchUp()).toBe(4n);
    expect(await endState(scene, follower)).toBe(4);
  });

  it("follows a replica that was begun anew with another page size", async () => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    using other = new FollowScene(undefined, 8192);
    rmSync(scene.replicaPath, { recursive: true });
    await other.history.writeFiles(scene.replicaPath, [{ level: 0, min: 1, max: 1 }]);
    await follower.catchUp();
    await follower[Symbol.asyncDispose]();
    expect(other.stateOf(scene.output)).toBe(1);
  });
});

describe("an output that somebody else has touched", () => {
  const touches: readonly (readonly [string, (path: string) => void])[] = [
    ["written to", (path) => execute(path, "DELETE FROM t WHERE id % 2 = 0")],
    ["put into WAL mode", (path) => execute(path, "PRAGMA journal_mode = WAL; DELETE FROM t")],
    ["vacuumed with other pages", (path) => execute(path, "PRAGMA page_size=8192; VACUUM")],
    ["cut off", (path) => truncateSync(path, 8192)],
    ["continued", (path) => appendFileSync(path, new Uint8Array(5000))],
    ["overwritten with noise", (path) => writeFileSync(path, pageOf(4096, 1))],
    ["emptied", (path) => truncateSync(path, 0)],
    ["deleted", (path) => rmSync(path)],
  ];

  it.each(touches)("is healed while it is followed: %s", async (...[, touch]) => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    touch(scene.output);
    expect(await follower.catchUp()).toBe(2n);
    expect(follower.events).toContain("follow.healing");
    await scene.publish(3);
    expect(await follower.catchUp()).toBe(3n);
    expect(await endState(scene, follower)).toBe(3);
  });

  it.each(touches)("is healed at the next start: %s", async (...[, touch]) => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    await follower[Symbol.asyncDispose]();
    touch(scene.output);
    await scene.publish(3);
    const next = await SteppedFollower.open(scene.url, scene);
    expect(await next.catchUp()).toBe(3n);
    expect(await endState(scene, next)).toBe(3);
  });

  it("is compared and kept if only its time has changed, or its state was lost", async () => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    await follower[Symbol.asyncDispose]();
    const bytes = readFileSync(scene.output);
    writeFileSync(scene.output, bytes);
    const next = await SteppedFollower.open(scene.url, scene);
    await next.catchUp();
    expect(next.events).toEqual(["follow.compared"]);
    await next[Symbol.asyncDispose]();
    rmSync(`${scene.output}-follow`);
    const third = await SteppedFollower.open(scene.url, scene);
    expect(await third.catchUp()).toBe(2n);
    expect(third.log[0]?.fields).toMatchObject({ reason: "state-lost" });
    expect(await endState(scene, third)).toBe(2);
  });
});

describe("a disk", () => {
  it.each(["EIO", "ENOSPC"])(
    "that fails once with %s, at any call, costs nothing",
    async (code) => {
      using scene = new FollowScene();
      await scene.publish(1, 4);
      for (let failing = 1; ; failing++) {
        rmSync(scene.directory.file("out"), { recursive: true });
        mkdirSync(scene.directory.file("out"));
        let [calls, from] = [0, Infinity];
        const fileSystem = createFaultyFileSystem(nodeFileSystem, () =>
          ++calls === from ? code : undefined,
        );
        let visible = 1n;
        const follower = await SteppedFollower.open(scene.url, scene, {
          fileSystem,
          openReplica: async (url, options) =>
            partOf(await systemEnvironment().openReplica(url, options), ({ key }) => {
              const file = litestreamLayout.parse(key);
              return file === undefined || file.maxTxid <= visible;
            }),
        });
        await follower.catchUp();
        visible = 4n;
        from = calls + failing;
        await follower.catchUp().catch(() => undefined);
        const isOver = calls < from;
        from = Infinity;
        expect(await follower.catchUp(), `call ${failing}`).toBe(4n);
        expect(follower.events).not.toContain("follow.healing");
        await follower[Symbol.asyncDispose]();
        expect(scene.stateOf(), `call ${failing}`).toBe(4);
        if (!isOver) continue;
        expect(failing).toBeGreaterThan(20);
        return;
      }
    },
  );
});

describe("starting", () => {
  const environment = systemEnvironment();
  const start = (scene: FollowScene, force = false): Promise<AsyncDisposable> =>
    startFollower(
      resolveFollowOptions(scene.url, { output: scene.output, force }),
      environment,
      {},
    );

  it("refuses a database that is not ours and leaves nothing beside it", async () => {
    using scene = new FollowScene();
    await scene.publish(1);
    execute(scene.output, "CREATE TABLE mine(x)");
    await expect(start(scene)).rejects.toMatchObject({ code: "restore/output-exists" });
    expect(readdirSync(scene.directory.file("out"))).toEqual(["followed.db"]);
    await using follower = await start(scene, true);
    await follower[Symbol.asyncDispose]();
    expect(scene.stateOf()).toBe(1);
  });

  it.each(["headwater", "litestream"])(
    "refuses a database that %s replicates, whatever else says that it is ours",
    async (replicator) => {
      const { scene, follower } = await followed(1);
      using _ = scene;
      await follower[Symbol.asyncDispose]();
      execute(scene.output, "CREATE TABLE mine(x)");
      const before = readFileSync(scene.output);
      mkdirSync(scene.directory.file(`out/.followed.db-${replicator}`));
      await expect(start(scene, true)).rejects.toMatchObject({ code: "follow/replicated" });
      expect(readFileSync(scene.output)).toEqual(before);
    },
  );

  it("refuses a second follower of the same output", async () => {
    using scene = new FollowScene();
    await scene.publish(1);
    await using _ = await start(scene);
    await expect(start(scene)).rejects.toMatchObject({ code: "follow/locked" });
  });

  it("throws for an empty replica and leaves nothing behind", async () => {
    using scene = new FollowScene();
    await expect(start(scene)).rejects.toMatchObject({ code: "replica/empty" });
    expect(readdirSync(scene.directory.file("out"))).toEqual([]);
  });

  it("takes over what Litestream's follower has left", async () => {
    using scene = new FollowScene();
    await scene.publish(1, 2);
    writeFileSync(scene.output, scene.states[0] ?? "");
    writeFileSync(`${scene.output}-txid`, "0000000000000001\n");
    await using follower = await SteppedFollower.open(scene.url, scene);
    expect(await follower.catchUp()).toBe(2n);
    expect(await endState(scene, follower)).toBe(2);
  });

  it("makes a damaged state file anew", async () => {
    const { scene, follower } = await followed(2);
    using _ = scene;
    await follower[Symbol.asyncDispose]();
    copyFileSync(
      ltxPath(scene.replicaPath, { level: 0, min: 1, max: 1 }),
      `${scene.output}-follow`,
    );
    const next = await SteppedFollower.open(scene.url, scene);
    expect(await next.catchUp()).toBe(2n);
    expect(existsSync(`${scene.output}-follow`)).toBe(true);
    expect(await endState(scene, next)).toBe(2);
  });
});

function execute(path: string, sql: string): void {
  using db = new DatabaseSync(path);
  db.exec(sql);
}
