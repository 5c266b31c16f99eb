// A replica with a local copy, end to end: what statements see, on which SQLite, and what the copy goes through meanwhile.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FollowScene } from "../../../test/support/follow-scene.ts";
import { type HydratedReplica, openHydrated } from "../../../test/support/hydrated.ts";
import { until } from "../../../test/support/until.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";

const countSql = "SELECT count(*) AS n FROM t";
/** More than one batch. */
const longSql = "SELECT id, randomblob(2000) AS b FROM t ORDER BY id";
/** Rows after each TXID. */
const counts = [0, 401, 57, 114];

let scene: FollowScene;
beforeEach(async () => {
  scene = new FollowScene();
  await scene.publish(1, 2);
});
afterEach(() => scene[Symbol.dispose]());

async function open(options = {}, fileSystem = nodeFileSystem): Promise<HydratedReplica> {
  const hydrated = { hydrate: scene.output, ...options };
  return openHydrated(scene.url, hydrated, { fileSystem });
}

/** Publishes a TXID and has it looked for. */
async function goTo(replica: HydratedReplica, txid: number): Promise<void> {
  await scene.publish(txid);
  await replica.db.refresh();
}

describe("a hydrated replica", () => {
  it("answers from the views until the copy is whole, and from the copy then", async () => {
    await using replica = await open();
    expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
    await replica.hydrated();
    expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
    expect(scene.stateOf()).toBe(2);
    rmSync(scene.replicaPath, { recursive: true });
    expect(await replica.all("SELECT id, length(text) AS n FROM t WHERE id = ?", [9000])).toEqual([
      { id: 9000, n: 4 },
    ]);
    expect(await replica.all("SELECT sum(length(body)) > 100000 AS n FROM t")).toEqual([{ n: 1 }]);
  });

  it("goes forward with the replica, one copy after the other", async () => {
    await using replica = await open();
    await replica.hydrated();
    for (const txid of [3, 4]) {
      await scene.publish(txid);
      expect(await replica.db.refresh()).toBe(BigInt(txid));
      expect(await replica.all(countSql)).toEqual([{ n: counts[txid - 1] }]);
      expect(await replica.isNative()).toBe(true);
      expect(replica.db.txid).toBe(BigInt(txid));
      expect(scene.stateOf(txid === 3 ? `${scene.output}-right` : scene.output)).toBe(txid);
    }
  });

  it("follows by itself", async () => {
    await using replica = await open({ follow: true });
    await replica.hydrated();
    await scene.publish(3);
    await until(() => replica.db.txid === 3n);
    expect(await replica.isNative()).toBe(true);
    expect(await replica.all(countSql)).toEqual([{ n: 57 }]);
  });

  it("has one copy of a moment, which stays", async () => {
    await using replica = await open({ txid: toTxid(1) });
    await replica.hydrated();
    expect(await replica.all(countSql)).toEqual([{ n: 0 }]);
    expect(await replica.db.refresh()).toBe(1n);
    expect(existsSync(`${scene.output}-right`)).toBe(false);
    expect(scene.stateOf()).toBe(1);
  });

  it("is there at once the next time, and forgets a copy of another moment", async () => {
    {
      await using replica = await open();
      await replica.hydrated();
    }
    {
      await using replica = await open();
      await replica.hydrated();
      expect(replica.log.map(({ event }) => event)).toEqual(["hydrate.ready"]);
    }
    await using replica = await open({ txid: toTxid(1) });
    await replica.hydrated();
    expect(await replica.all(countSql)).toEqual([{ n: 0 }]);
  });
});

describe("a snapshot on the copy", () => {
  it("lasts as long as the transaction, whatever comes meanwhile", async () => {
    await using replica = await open();
    await replica.hydrated();
    await replica.all("BEGIN");
    expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
    expect(await replica.isNative()).toBe(true);
    await goTo(replica, 3);
    await goTo(replica, 4);
    await replica.db.refresh();
    for (let i = 0; i < 5; i++) {
      expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
      expect(replica.db.txid).toBe(2n);
    }
    expect(await replica.isNative()).toBe(true);
    await replica.all("COMMIT");
    expect(await replica.all(countSql)).toEqual([{ n: 114 }]);
    await replica.hydrated();
    expect(await replica.all(countSql)).toEqual([{ n: 114 }]);
  });

  it("is the same on both SQLites", async () => {
    await using replica = await open();
    await replica.hydrated();
    await replica.all("BEGIN");
    expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
    await goTo(replica, 3);
    await replica.all("CREATE TEMP TABLE kept AS SELECT id FROM t");
    expect(await replica.isNative()).toBe(false);
    expect(
      await replica.all("SELECT (SELECT count(*) FROM kept) AS a, count(*) AS b FROM t"),
    ).toEqual([{ a: 401, b: 401 }]);
    await replica.all("ROLLBACK");
    expect(await replica.all(countSql)).toEqual([{ n: 57 }]);
    await expect(replica.all("SELECT * FROM kept")).rejects.toThrow("no such table: kept");
    expect(await replica.isNative()).toBe(true);
  });

  it("lasts as long as a statement is being read", async () => {
    await using replica = await open();
    await replica.hydrated();
    const rows = replica.db.query(longSql)[Symbol.asyncIterator]();
    expect((await rows.next()).value).toMatchObject({ id: 1 });
    await goTo(replica, 3);
    expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
    let read = 1;
    while ((await rows.next()).done !== true) read++;
    expect(read).toBe(401);
    expect(await replica.all(countSql)).toEqual([{ n: 57 }]);
  });

  it("that began on the views goes on there", async () => {
    await using replica = await open();
    await replica.all("BEGIN");
    await replica.all(countSql);
    await until(() => replica.log.some(({ event }) => event === "hydrate.ready"));
    await goTo(replica, 3);
    expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
    await replica.all("COMMIT");
    expect(await replica.all(countSql)).toEqual([{ n: 57 }]);
    await replica.hydrated();
  });
});

describe("statements that the copy has no answer to", () => {
  it("join another moment, and the copy is used again after it", async () => {
    await using replica = await open();
    await replica.hydrated();
    await replica.all("ATTACH 'file:replica?txid=0000000000000001' AS past");
    expect(await replica.isNative()).toBe(false);
    expect(
      await replica.all("SELECT (SELECT count(*) FROM past.t) AS a, count(*) AS b FROM t"),
    ).toEqual([{ a: 0, b: 401 }]);
    await replica.all("DETACH past");
    expect(await replica.isNative()).toBe(true);
  });

  it("are those after a setting, but not after one that is only read", async () => {
    await using replica = await open();
    await replica.hydrated();
    await replica.all("PRAGMA table_info(t)");
    expect(await replica.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
    expect(await replica.isNative()).toBe(true);
    await replica.all("PRAGMA case_sensitive_like = 1");
    expect(await replica.all("SELECT 'a' LIKE 'A' AS n")).toEqual([{ n: 0 }]);
  });

  it("are joins without an end, which can be cancelled", async () => {
    await using replica = await open();
    await replica.hydrated();
    const abort = new AbortController();
    const sql = "SELECT count(*) FROM t a, t b, t c, t d, t e";
    const running = Array.fromAsync(replica.db.query(sql, [], abort));
    running.catch(() => undefined);
    abort.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    expect(await replica.isNative()).toBe(true);
    const sum = "SELECT sum(a.id + b.id) > 0 AS n FROM t a, t b";
    rmSync(scene.replicaPath, { recursive: true });
    expect(await replica.all(sum)).toEqual([{ n: 1 }]);
  });
});

describe("a statement that is to stop", () => {
  /** One step that takes some seconds, on every row of the table. */
  const slow = "SELECT sum(length(replace(hex(zeroblob(1000000 + id)), '0', 'ab'))) AS n FROM t";

  it("is left with its thread, and the next one runs on the copy", async () => {
    await using replica = await open();
    await replica.hydrated();
    const abort = new AbortController();
    const rows = replica.db.query(longSql)[Symbol.asyncIterator]();
    await rows.next();
    const running = Array.fromAsync(replica.db.query(slow, [], abort));
    running.catch(() => undefined);
    await replica.db.refresh();
    abort.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    const rest = async (): Promise<void> => {
      while ((await rows.next()).done !== true);
    };
    await expect(rest()).rejects.toMatchObject({ code: "query/closed" });
    await goTo(replica, 3);
    expect(await replica.all(countSql)).toEqual([{ n: 57 }]);
    await goTo(replica, 4);
    expect(await replica.all(countSql)).toEqual([{ n: 114 }]);
    expect(await replica.isNative()).toBe(true);
  });

  it("is ended when the replica is closed", async () => {
    const replica = await open();
    await replica.hydrated();
    const running = replica.all(slow);
    running.catch(() => undefined);
    await replica[Symbol.asyncDispose]();
    await expect(running).rejects.toMatchObject({ code: "query/closed" });
    await expect(replica.all("SELECT 1")).rejects.toMatchObject({ code: "query/closed" });
  });
});

describe("a copy that cannot be made", () => {
  it("is refused where a file is that is no copy, which stays as it is", async () => {
    writeFileSync(scene.output, "mine");
    await expect(open()).rejects.toMatchObject({ code: "query/hydrate" });
    expect(readFileSync(scene.output, "utf8")).toBe("mine");
    rmSync(scene.output);
    writeFileSync(`${scene.output}-wal`, "mine");
    await expect(open()).rejects.toThrow("-wal exists");
    expect(existsSync(`${scene.output}-hydrate`)).toBe(false);
  });

  it("is refused to a second replica", async () => {
    await using replica = await open();
    await replica.hydrated();
    await expect(open()).rejects.toMatchObject({ code: "follow/locked" });
    expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
  });

  it("is told once, and tried again, while queries go on", async () => {
    let isFull = true;
    const faulty = createFaultyFileSystem(nodeFileSystem, ({ name }) =>
      isFull && name === "file.write" ? "ENOSPC" : undefined,
    );
    await using replica = await open({}, faulty);
    const failures = (): number =>
      replica.log.filter(({ event }) => event === "hydrate.failed").length;
    await until(() => failures() > 0);
    expect(await replica.all(countSql)).toEqual([{ n: 401 }]);
    await goTo(replica, 3);
    expect(await replica.all(countSql)).toEqual([{ n: 57 }]);
    isFull = false;
    await replica.hydrated();
    expect(failures()).toBe(1);
    isFull = true;
    await goTo(replica, 4);
    expect(await replica.all(countSql)).toEqual([{ n: 114 }]);
    isFull = false;
    await replica.hydrated();
    expect(await replica.all(countSql)).toEqual([{ n: 114 }]);
  });

  it("is not used any more when SQLite finds it damaged", async () => {
    await using replica = await open();
    await replica.hydrated();
    await replica.all(countSql);
    const bytes = readFileSync(scene.output);
    bytes.fill(0xff, 2 * scene.pageSize);
    writeFileSync(scene.output, bytes);
    expect(await replica.all("SELECT sum(length(body)) > 100000 AS n FROM t")).toEqual([{ n: 1 }]);
    expect(await replica.isNative()).toBe(false);
    await replica[Symbol.asyncDispose]();
    await using again = await open();
    await again.hydrated();
    expect(await again.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
  });

  it("does without the file that somebody takes away", async () => {
    await using replica = await open();
    await replica.hydrated();
    rmSync(scene.output);
    rmSync(`${scene.output}-hydrate`);
    await goTo(replica, 3);
    expect(await replica.all(countSql)).toEqual([{ n: 57 }]);
  });
});
