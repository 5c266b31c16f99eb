// Followers of a real daemon by push: an open replica, and a followed file. Uploads are an hour apart where only the stream
// can have brought what is seen.
import { rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { follow } from "../src/node/follow/follow.ts";
import { openReplica } from "../src/node/vfs/open-replica.ts";
import type { ReplicaDatabase } from "../src/core/vfs/replica-database.ts";
import { Daemon } from "./support/daemon.ts";
import { addressOf, pushKeys } from "./support/push.ts";
import { Scene } from "./support/scene.ts";
import { until } from "./support/until.ts";

const hourly = `${pushKeys}sync-interval: 1h\n`;

/** Transactions in the ledger of an open replica. */
async function countOf(db: ReplicaDatabase): Promise<number> {
  const [row] = await Array.fromAsync(db.query("SELECT count(*) AS n FROM ledger"));
  return Number(row?.["n"]);
}

/** The same of a followed file. */
function countIn(output: string): number {
  using db = new DatabaseSync(output, { readOnly: true, timeout: 10_000 });
  return Number(db.prepare("SELECT count(*) AS n FROM ledger").get()?.["n"]);
}

/** Waits until so many have begun to follow. */
async function untilFollowed(daemon: Daemon, count: number): Promise<void> {
  await until(
    () => daemon.child.lines.filter((line) => line.includes(" push.following ")).length >= count,
    60_000,
  );
}

async function syncedDaemon(scene: Scene, keys: string): Promise<{ daemon: Daemon; url: string }> {
  const daemon = await Daemon.of(scene, keys).ready();
  await daemon.ask("POST", "/sync", { path: scene.path, wait: true });
  return { daemon, url: `${await addressOf(daemon)}/databases/app` };
}

test("an open replica and a followed file see what is committed before it is in the store", async () => {
  await using scene = await Scene.open({ transactions: 5 });
  const { daemon, url: push } = await syncedDaemon(scene, hourly);
  await using _ = daemon;
  await using db = await openReplica(scene.replica, { follow: true, push });
  const output = scene.directory.file("followed.db");
  await using following = await follow(scene.replica, { output, push });
  expect([await countOf(db), countIn(output)]).toEqual([5, 5]);
  await untilFollowed(daemon, 2);
  for (let n = 6; n <= 12; n++) {
    await scene.app.ledger(1);
    await until(async () => (await countOf(db)) === n && countIn(output) === n);
  }
  await until(() => following.status()?.txid === db.txid);
  expect(following.status()?.lastError).toBeUndefined();
  expect((await daemon.child.end("SIGTERM")).code).toBe(0);
  // What the last sync has uploaded holds the same.
  await db.refresh();
  expect(await countOf(db)).toBe(12);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("they fall back to the store while the primary is away, and follow it again when it is back", async () => {
  await using scene = await Scene.open({ transactions: 5 });
  const keys = pushKeys.replace("127.0.0.1:0", "127.0.0.1:PORT");
  const { port, url } = await freePort();
  const { daemon } = await syncedDaemon(scene, keys.replace("PORT", String(port)));
  const push = `${url}/databases/app`;
  const output = scene.directory.file("followed.db");
  await using db = await openReplica(scene.replica, { follow: true, push });
  await using following = await follow(scene.replica, { output, push });
  await scene.app.ledger(1);
  await until(async () => (await countOf(db)) === 6 && countIn(output) === 6);
  await daemon.child.end("SIGKILL");
  await scene.app.ledger(1);
  // Another daemon without streams: only the store tells.
  const plain = await Daemon.of(scene).ready();
  await until(async () => (await countOf(db)) === 7 && countIn(output) === 7);
  expect((await plain.child.end("SIGTERM")).code).toBe(0);
  await using back = await Daemon.of(
    scene,
    `${keys.replace("PORT", String(port))}sync-interval: 1h\n`,
  ).ready();
  await back.ask("POST", "/sync", { path: scene.path, wait: true });
  await untilFollowed(back, 2);
  await scene.app.ledger(2);
  await until(async () => (await countOf(db)) === 9 && countIn(output) === 9);
  await until(() => following.status()?.lastError === undefined);
  expect((await back.child.end("SIGTERM")).code).toBe(0);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("a primary that has lost its state and what it had not uploaded takes its followers back to the store", async () => {
  await using scene = await Scene.open({ transactions: 5 });
  const { port, url } = await freePort();
  const keys = hourly.replace("127.0.0.1:0", `127.0.0.1:${port}`);
  const { daemon } = await syncedDaemon(scene, keys);
  const push = `${url}/databases/app`;
  const output = scene.directory.file("followed.db");
  await using db = await openReplica(scene.replica, { follow: true, push });
  await using following = await follow(scene.replica, { output, push });
  await scene.app.ledger(3);
  await until(async () => (await countOf(db)) === 8 && countIn(output) === 8);
  await daemon.child.end("SIGKILL");
  rmSync(scene.stateDirectory, { recursive: true });
  await scene.restoreInPlace();
  await using back = await Daemon.of(scene, keys.replace("1h", "1s")).ready();
  // The same TXIDs as those that were pushed, with other pages.
  await scene.app.ledger(1, { seed: 77 });
  await back.ask("POST", "/sync", { path: scene.path, wait: true });
  const expected = countIn(scene.path);
  await until(async () => (await countOf(db)) === expected && countIn(output) === expected);
  await scene.app.ledger(1);
  await until(async () => (await countOf(db)) === expected + 1 && countIn(output) === expected + 1);
  await until(() => following.status()?.lastError === undefined);
  const rows = await Array.fromAsync(db.query("SELECT * FROM ledger ORDER BY seq"));
  using source = new DatabaseSync(output, { readOnly: true, timeout: 10_000 });
  expect(rows).toEqual(source.prepare("SELECT * FROM ledger ORDER BY seq").all());
});

test("a connection that is cut in the middle of a file is taken up again where it was", async () => {
  await using scene = await Scene.open({ transactions: 5 });
  const { daemon, url } = await syncedDaemon(scene, hourly);
  await using _ = daemon;
  await using cutter = await cutAfter(url, 3_000);
  await using db = await openReplica(scene.replica, {
    follow: true,
    push: `${cutter.url}/databases/app`,
  });
  for (let n = 6; n <= 20; n++) {
    await scene.app.ledger(1);
    await until(async () => (await countOf(db)) === n);
  }
  expect(cutter.cuts).toBeGreaterThan(2);
});

/** A port that was free a moment ago. */
async function freePort(): Promise<{ readonly port: number; readonly url: string }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  server.close();
  await once(server, "close");
  return { port, url: `http://127.0.0.1:${port}` };
}

/** A way to the primary on which each connection breaks after so many bytes. */
async function cutAfter(
  primary: string,
  bytes: number,
): Promise<{ readonly url: string; readonly cuts: number } & AsyncDisposable> {
  const to = new URL(primary);
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(to.port), to.hostname);
    let sent = 0;
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    client.on("error", end).on("close", end);
    upstream.on("error", end).on("close", end);
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => {
      client.write(chunk.subarray(0, bytes - sent));
      sent += chunk.length;
      if (sent < bytes) return;
      cuts++;
      client.resetAndDestroy();
      upstream.destroy();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    get cuts() {
      return cuts;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}
