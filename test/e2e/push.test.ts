// Streams of a running Headwater, as followers meet them over HTTP.
import { copyFileSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decodeHeader } from "../../src/core/ltx/header.ts";
import { openReplica } from "../../src/node/vfs/open-replica.ts";
import { Daemon } from "../support/daemon.ts";
import { StreamReader, addressOf, pushKeys } from "../support/push.ts";
import { Scene, removeDatabase } from "../support/scene.ts";
import { until } from "../support/until.ts";

/** The newest TXID, with everything committed in the replica. */
async function synced(daemon: Daemon, path: string): Promise<bigint> {
  const { answer } = await daemon.ask("POST", "/sync", { path, wait: true });
  return BigInt(Number(answer["txid"]));
}

test("what is committed is sent at once, byte for byte as it is staged, and told when it is in the replica", async () => {
  await using scene = await Scene.open();
  // What is staged stays until it is to be uploaded.
  await using daemon = await Daemon.of(scene, `${pushKeys}sync-interval: 1h\n`).ready();
  const address = `${await addressOf(daemon)}/databases/app`;
  const head = await synced(daemon, scene.path);
  await using stream = await StreamReader.open(address, head);
  expect(await stream.next()).toMatchObject({ kind: "hello", headTxid: head, durableTxid: head });
  for (let n = 1n; n <= 3n; n++) {
    await scene.app.ledger(1);
    const { bytes } = await stream.until("file");
    const { minTxid, maxTxid, proof } = decodeHeader(bytes);
    expect([minTxid, maxTxid]).toEqual([head + n, head + n]);
    expect(proof?.before).not.toBe(0n);
    const name = `${maxTxid.toString(16).padStart(16, "0")}.ltx`;
    const staged = join(scene.stateDirectory, "ltx", "0", name);
    expect(Buffer.compare(bytes, readFileSync(staged))).toBe(0);
  }
  expect(await synced(daemon, scene.path)).toBe(head + 3n);
  await until(async () => {
    const { txid } = await stream.until("durable");
    return txid === head + 3n;
  });
  expect((await daemon.child.end("SIGTERM")).code).toBe(0);
  await stream.until("end");
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("a follower that is older than what is staged, or ahead, is sent to the store", async () => {
  await using scene = await Scene.open();
  await using daemon = await Daemon.of(scene, pushKeys).ready();
  const address = `${await addressOf(daemon)}/databases/app`;
  const head = await synced(daemon, scene.path);
  for (const after of [head + 7n, 1n]) {
    await using stream = await StreamReader.open(address, after);
    expect(await stream.next()).toMatchObject({ kind: "hello" });
    let last = await stream.next();
    while (last?.kind === "file") last = await stream.next();
    if (after > head) expect(last).toMatchObject({ kind: "reset", headTxid: head });
    else expect(["reset", "heartbeat"]).toContain(last?.kind);
  }
});

test("who may not follow is told why", async () => {
  await using scene = await Scene.open();
  const token = "0123456789abcdef";
  const keys = pushKeys.replace(
    "push:\n",
    `push:\n  token: ${token}\n  allow-origin: [ "https://app.example.com" ]\n`,
  );
  await using daemon = await Daemon.of(scene, keys).ready();
  const base = await addressOf(daemon);
  const ask = async (
    path: string,
    headers: Record<string, string> = {},
    method = "GET",
  ): Promise<Response> => {
    const giveUp = new AbortController();
    const response = await fetch(`${base}${path}`, { method, headers, signal: giveUp.signal });
    if (response.status !== 200) await response.text();
    giveUp.abort();
    return response;
  };
  const authorization = `Bearer ${token}`;
  const path = "/databases/app/stream?after=1";
  expect((await ask(path)).status).toBe(401);
  expect((await ask(path, { authorization: "Bearer other" })).status).toBe(401);
  expect((await ask(path, { authorization })).status).toBe(200);
  expect((await ask("/databases/other/stream?after=1", { authorization })).status).toBe(404);
  for (const after of ["", "?after=", "?after=0", "?after=x", "?after=11112222333344445"]) {
    expect((await ask(`/databases/app/stream${after}`, { authorization })).status).toBe(400);
  }
  expect((await ask(path, { authorization }, "POST")).status).toBe(405);
  const origin = "https://app.example.com";
  const allowed = await ask(path, { authorization, origin });
  expect(allowed.headers.get("access-control-allow-origin")).toBe(origin);
  expect((await ask(path, { authorization, origin: "https://evil.example" })).status).toBe(403);
  const preflight = await ask(path, { origin, "access-control-request-method": "GET" }, "OPTIONS");
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get("access-control-allow-headers")).toBe("authorization");
  await daemon.ask("POST", "/stop", { path: scene.path });
  const stopped = await ask(path, { authorization });
  expect([stopped.status, stopped.headers.get("retry-after")]).toEqual([503, "1"]);
});

test("metrics tell who follows, and what was sent", async () => {
  await using scene = await Scene.open();
  await using daemon = await Daemon.of(scene, pushKeys).ready();
  const base = await addressOf(daemon);
  const head = await synced(daemon, scene.path);
  const valueOf = async (name: string): Promise<number> => {
    const body = await (await fetch(`${base}/metrics`)).text();
    const line = new RegExp(`^headwater_push_${name}\\{db="${scene.path}"\\} (\\d+)$`, "mu");
    return Number(line.exec(body)?.[1]);
  };
  await using ahead = await StreamReader.open(`${base}/databases/app`, head + 7n);
  await until(async () => (await ahead.next()) === undefined);
  await until(async () => (await valueOf("followers")) === 0);
  expect(await valueOf("resets_total")).toBe(1);
  {
    await using stream = await StreamReader.open(`${base}/databases/app`, head);
    await scene.app.ledger(1);
    const { bytes } = await stream.until("file");
    const sent = [await valueOf("followers"), await valueOf("files_total")];
    expect([...sent, await valueOf("bytes_total")]).toEqual([1, 1, bytes.length]);
  }
  await until(async () => (await valueOf("followers")) === 0);
});

test("what is expected to be paid counts followers as there all the time", async () => {
  await using scene = await Scene.open({ transactions: 1 });
  await using daemon = await Daemon.of(scene, pushKeys).ready();
  // Two files each second, and what levels and the daily image put.
  await daemon.event("budget.expected", "putsPerMonth=5455783");
});

test("streams end when the database is stopped, and go on with its next engine", async () => {
  await using scene = await Scene.open();
  await using daemon = await Daemon.of(scene, pushKeys).ready();
  const address = `${await addressOf(daemon)}/databases/app`;
  const head = await synced(daemon, scene.path);
  await using stream = await StreamReader.open(address, head);
  await stream.until("hello");
  await daemon.ask("POST", "/stop", { path: scene.path });
  await stream.until("end");
  await scene.app.ledger(2);
  await daemon.ask("POST", "/start", { path: scene.path });
  await using next = await StreamReader.open(address, head);
  await next.untilTxid(await synced(daemon, scene.path));
});

test("a database at rest stays at rest while somebody follows, and wakes for the next commit", async () => {
  await using scene = await Scene.open();
  const keys = `${pushKeys}hibernate-after: 3s\nlogging:\n  level: debug\n`;
  await using daemon = await Daemon.of(scene, keys).ready();
  const address = `${await addressOf(daemon)}/databases/app`;
  const head = await synced(daemon, scene.path);
  await using stream = await StreamReader.open(address, head);
  await stream.until("hello");
  await daemon.event("database.hibernated");
  await using late = await StreamReader.open(address, head);
  expect(await late.next()).toMatchObject({ kind: "hello", headTxid: head, durableTxid: head });
  await scene.app.ledger(1);
  for (const one of [stream, late]) {
    expect(decodeHeader((await one.until("file")).bytes).minTxid).toBe(head + 1n);
  }
});

test("headwater databases -json prints the names", async () => {
  await using scene = await Scene.open();
  await using daemon = await Daemon.of(scene, pushKeys).ready();
  const { stdout } = await daemon.command("databases", "-json");
  expect(JSON.parse(stdout)).toEqual([{ path: scene.path, replica: "file", name: "app" }]);
});

test("a follower that never reads keeps nobody waiting, and nothing from being uploaded", async () => {
  await using scene = await Scene.open();
  await using daemon = await Daemon.of(scene, `${pushKeys}push-interval: 0s\n`).ready();
  const base = await addressOf(daemon);
  const head = await synced(daemon, scene.path);
  const { port, hostname, host } = new URL(base);
  const idle = connect(Number(port), hostname);
  idle.pause();
  idle.write(
    `GET /databases/app/stream?after=${head.toString(16)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  );
  await daemon.event("push.following");
  await using stream = await StreamReader.open(`${base}/databases/app`, head);
  await scene.app.exec("CREATE TABLE big(x)");
  const write = async (): Promise<bigint> => {
    for (let n = 0; n < 100; n++)
      await scene.app.exec("INSERT INTO big VALUES(randomblob(100000))");
    return synced(daemon, scene.path);
  };
  const [last] = await Promise.all([write(), stream.untilTxid(head + 1n)]);
  await stream.untilTxid(last);
  idle.destroy();
  await daemon.event("push.left", "gone");
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("a database that is replaced, deleted and made anew while somebody follows goes on", async () => {
  await using scene = await Scene.open({ transactions: 5 });
  await using daemon = await Daemon.of(scene, pushKeys).ready();
  const address = `${await addressOf(daemon)}/databases/app`;
  await synced(daemon, scene.path);
  await using db = await openReplica(scene.replica, { follow: true, push: address });
  const count = async (): Promise<number> => {
    const [row] = await Array.fromAsync(db.query("SELECT count(*) AS n FROM ledger"));
    return Number(row?.["n"]);
  };
  expect(await count()).toBe(5);
  await daemon.event("push.following");
  await using other = await Scene.open({ transactions: 9 });
  await other.app.close();
  await scene.app.close();
  removeDatabase(scene.path);
  copyFileSync(other.path, scene.path);
  await until(async () => (await count()) === 9);
  await scene.app.close();
  removeDatabase(scene.path);
  await daemon.event("database.waiting");
  await scene.app.exec("PRAGMA journal_mode=WAL");
  await scene.app.ledger(2);
  await until(async () => (await count()) === 2);
  await synced(daemon, scene.path);
  await expect(scene.prove({ mayGoBack: true })).resolves.not.toHaveLength(0);
});

test("followers go on while levels are made and files deleted under them", async () => {
  await using scene = await Scene.open({ transactions: 5 });
  const levels = "levels:\n  - interval: 500ms\n  - interval: 1s\n";
  const keys = `${pushKeys}sync-interval: 200ms\nl0-retention: 1s\nretention:\n  grace: 0s\n${levels}`;
  await using daemon = await Daemon.of(scene, keys).ready();
  const address = `${await addressOf(daemon)}/databases/app`;
  await synced(daemon, scene.path);
  await using one = await openReplica(scene.replica, { follow: true, push: address });
  await using two = await openReplica(scene.replica, {
    follow: true,
    push: address,
    cacheBytes: 1 << 20,
  });
  for (let n = 6; n <= 60; n++) {
    await scene.app.ledger(1);
    for (const db of [one, two]) {
      await until(async () => {
        const [row] = await Array.fromAsync(db.query("SELECT count(*) AS n FROM ledger"));
        return Number(row?.["n"]) === n;
      });
    }
  }
  for (const db of [one, two]) {
    const check = await Array.fromAsync(db.query("PRAGMA integrity_check"));
    expect(check).toEqual([{ integrity_check: "ok" }]);
  }
  await synced(daemon, scene.path);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});
