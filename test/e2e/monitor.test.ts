// What watches over a running Headwater, as its clients meet it: metrics, health, heartbeats and webhooks over HTTP.
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { repositoryText } from "../support/repository.ts";
import { Daemon } from "../support/daemon.ts";
import { Scene } from "../support/scene.ts";
import { until } from "../support/until.ts";

async function addressOf(daemon: Daemon): Promise<string> {
  const line = await daemon.event("metrics.listening");
  return /address=(?<address>\S+)/u.exec(line)?.groups?.["address"] ?? "";
}

/** A server that remembers what it was sent. */
async function receiver(): Promise<{ url: string; received: string[] } & AsyncDisposable> {
  const received: string[] = [];
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    received.push(`${incoming.method} ${await text(incoming)}`);
    outgoing.end();
  };
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server on a port has an address of this form.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    received,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("metrics count what happens, under Litestream's names and ours, all of them documented", async () => {
  await using scene = await Scene.open();
  await using daemon = await Daemon.of(scene, 'addr: "127.0.0.1:0"\nsync-interval: 50ms\n').ready();
  const address = await addressOf(daemon);
  await scene.app.ledger(10);
  expect((await daemon.command("sync", "-wait", scene.path)).code).toBe(0);
  const response = await fetch(`${address}/metrics`);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain/u);
  const body = await response.text();
  const valueOf = (name: string, labels = `db="${scene.path}"`): number =>
    Number(new RegExp(`^${name}\\{${labels}\\} (\\S+)$`, "mu").exec(body)?.[1] ?? Number.NaN);
  expect(valueOf("litestream_txid")).toBeGreaterThanOrEqual(3);
  expect(valueOf("headwater_replicated_txid")).toBe(valueOf("litestream_txid"));
  expect(valueOf("litestream_db_size")).toBeGreaterThan(4096);
  expect(valueOf("litestream_wal_size")).toBeGreaterThan(0);
  expect(valueOf("litestream_sync_count")).toBeGreaterThanOrEqual(1);
  expect(valueOf("litestream_total_wal_bytes")).toBeGreaterThan(4096);
  expect(valueOf("headwater_transactions_total")).toBeGreaterThanOrEqual(10);
  expect(valueOf("headwater_replica_lag_seconds")).toBe(0);
  expect(valueOf("headwater_healthy")).toBe(1);
  const put = 'replica_type="file",operation="PUT"';
  expect(valueOf("litestream_replica_operation_total", put)).toBeGreaterThanOrEqual(3);
  expect(valueOf("litestream_replica_operation_bytes", put)).toBeGreaterThan(1000);
  const documented = repositoryText("docs/metrics.md");
  const names = [...body.matchAll(/^# TYPE (?<name>(?:litestream|headwater)_\w+)/gmu)].map(
    ({ groups }) => groups?.["name"] ?? "",
  );
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name) => !documented.includes(`\`${name}\``))).toEqual([]);
  expect((await fetch(`${address}/other`)).status).toBe(404);
  expect((await daemon.child.end("SIGTERM")).code).toBe(0);
});

test("health turns red when a replica lags, the webhook is told, and it turns green again", async () => {
  await using hook = await receiver();
  await using scene = await Scene.open();
  // After the first file of the level its turn does not come again, which would fail, too.
  const levels = "levels:\n  - interval: 24h\n";
  const keys = `addr: "127.0.0.1:0"\nhealth-max-lag: 1s\nwebhook-url: ${hook.url}\n${levels}`;
  await using daemon = await Daemon.of(scene, keys).ready();
  const address = await addressOf(daemon);
  const health = async (): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`${address}/health`);
    return { status: response.status, body: await response.json() };
  };
  await until(async () => {
    const metrics = await (await fetch(`${address}/metrics`)).text();
    return /^headwater_compactions_total\S+ 1$/mu.test(metrics);
  });
  await until(async () => (await health()).status === 200);
  const ltx = join(scene.replicaPath, "ltx");
  renameSync(ltx, join(scene.replicaPath, "away"));
  writeFileSync(ltx, "in the way");
  await scene.app.ledger(1);
  await until(async () => (await health()).status === 503);
  const reasons = ["lagging"];
  expect(await health()).toMatchObject({
    status: 503,
    body: { status: "unhealthy", databases: [{ path: scene.path, healthy: false, reasons }] },
  });
  await daemon.event("database.unhealthy", "lagging");
  const told = (): { event: string; database: string; reasons: readonly string[] }[] =>
    hook.received.map((line) => JSON.parse(line.replace(/^POST /u, "")));
  await until(() => told().at(-1)?.reasons.includes("lagging") ?? false);
  const event = "database.unhealthy";
  expect(told().at(-1)).toMatchObject({ event, database: scene.path, reasons });
  renameSync(ltx, join(scene.replicaPath, "gone"));
  renameSync(join(scene.replicaPath, "away"), ltx);
  await daemon.command("sync", "-wait", scene.path);
  await until(async () => (await health()).status === 200);
  await daemon.event("database.healthy");
  await until(() => told().at(-1)?.event === "database.healthy");
  expect(told().at(-1)).toMatchObject({ database: scene.path, reasons: [] });
  expect((await daemon.child.end("SIGTERM")).code).toBe(0);
});

test("a heartbeat is sent while everything is well; a stopped database does not count", async () => {
  await using beat = await receiver();
  await using scene = await Scene.open();
  const keys = `heartbeat-url: ${beat.url}\nheartbeat-interval: 1m\n`;
  await using daemon = await Daemon.of(scene, keys).ready();
  await until(() => beat.received.length > 0);
  expect(beat.received).toEqual(["GET "]);
  expect((await daemon.child.end("SIGTERM")).code).toBe(0);
});

test("an address that is taken is a warning, and replication goes on", async () => {
  await using other = await receiver();
  await using scene = await Scene.open();
  const place = new URL(other.url).host;
  await using daemon = await Daemon.of(scene, `addr: ${place}\n`).ready();
  await daemon.event("metrics.unavailable", place);
  expect((await daemon.command("sync", "-wait", scene.path)).code).toBe(0);
});
