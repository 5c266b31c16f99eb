// The control socket as a user meets it: bin/headwater.js with a configuration file, its commands, and plain HTTP.
import { appendFileSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Daemon } from "../support/daemon.ts";
import { Scene } from "../support/scene.ts";

describe("the control socket", () => {
  test("what is written while a database is stopped, its WAL gone, is whole after each of six starts", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { path } = scene;
    for (let trial = 0; trial < 6; trial++) {
      expect(await daemon.ask("POST", "/stop", { path })).toMatchObject({
        status: 200,
        answer: { status: "stopped", path },
      });
      const seq = await scene.app.ledger(5);
      await scene.app.close();
      expect(existsSync(`${path}-wal`)).toBe(false);
      expect(await daemon.ask("POST", "/start", { path })).toMatchObject({
        status: 200,
        answer: { status: "started", path },
      });
      const { status, answer } = await daemon.ask("POST", "/sync", { path, wait: true });
      expect(status).toBe(200);
      expect(answer["replicated_txid"]).toBe(answer["txid"]);
      expect((await scene.prove()).at(-1)?.seq).toBe(seq);
    }
    expect((await daemon.child.end("SIGTERM")).code).toBe(0);
    expect(daemon.hasSocket()).toBe(false);
  });

  test("tells how far each database is, and who answers", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { path } = scene;
    expect(statSync(daemon.socket).mode & 0o777).toBe(0o600);
    const synced = await daemon.ask("POST", "/sync", { path, wait: true });
    expect(synced.status).toBe(200);
    const txid = synced.answer["txid"];
    expect(txid).toEqual(expect.any(Number));
    expect(await daemon.ask("GET", `/txid?path=${encodeURIComponent(path)}`)).toEqual({
      status: 200,
      answer: { txid },
    });
    const { answer: list } = await daemon.ask("GET", "/list");
    expect(list).toEqual({ databases: [expect.objectContaining({ path, status: "replicating" })] });
    const { answer: info } = await daemon.ask("GET", "/info");
    expect(info).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/u),
      pid: daemon.child.pid,
      uptime_seconds: expect.any(Number),
      started_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/u),
      database_count: 1,
    });
    const { answer: syncStatus } = await daemon.ask("GET", "/debug/sync-status");
    expect(syncStatus).toEqual({
      databases: [
        expect.objectContaining({
          path,
          active: false,
          txid,
          replicated_txid: txid,
          state: "replicating",
        }),
      ],
    });
  });

  test("sync says whether there was anything new, alone and when two ask at once", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene, "sync-interval: 1h\n").ready();
    const { path } = scene;
    const before = await daemon.ask("POST", "/sync", { path, wait: true });
    await scene.app.ledger(1);
    const local = await daemon.ask("POST", "/sync", { path });
    expect(local).toMatchObject({ status: 200, answer: { status: "synced_local", path } });
    expect(Number(local.answer["txid"])).toBe(Number(before.answer["txid"]) + 1);
    await daemon.ask("POST", "/sync", { path, wait: true });
    expect(await daemon.ask("POST", "/sync", { path, wait: true })).toMatchObject({
      answer: { status: "no_change", txid: local.answer["txid"] },
    });
    expect(await daemon.ask("POST", "/sync", { path })).toMatchObject({
      answer: { status: "no_change" },
    });
    const seq = await scene.app.ledger(3);
    const both = await Promise.all(
      [true, true, false].map((wait) => daemon.ask("POST", "/sync", { path, wait })),
    );
    expect(both.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await scene.prove()).at(-1)?.seq).toBe(seq);
    expect((await daemon.ask("GET", "/list")).answer).toEqual({
      databases: [
        { path, status: "replicating", last_sync_at: expect.stringMatching(/^\d{4}-.*Z$/u) },
      ],
    });
  });

  test("sync does not wait longer than it was told for a replica that cannot be written", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene, "shutdown-sync-timeout: 1ms\n").ready();
    const { path } = scene;
    await daemon.ask("POST", "/sync", { path, wait: true });
    const unblock = scene.blockReplica();
    const seq = await scene.app.ledger(1);
    expect(await daemon.ask("POST", "/sync", { path, wait: true, timeout: 1 })).toMatchObject({
      status: 504,
      answer: { error: expect.stringContaining("after 1 s"), details: { code: "control/timeout" } },
    });
    expect(await daemon.ask("POST", "/sync", { path })).toMatchObject({ status: 200 });
    const stopped = await daemon.ask("POST", "/stop", { path, timeout: 1 });
    expect(stopped).toMatchObject({
      status: 500,
      answer: {
        error: expect.stringContaining("is stopped, and not everything is in its replica"),
      },
    });
    unblock();
    expect(await daemon.ask("POST", "/start", { path })).toMatchObject({ status: 200 });
    expect(await daemon.ask("POST", "/sync", { path, wait: true })).toMatchObject({ status: 200 });
    expect((await scene.prove()).at(-1)?.seq).toBe(seq);
  });

  test("whoever waits when Headwater is told to end learns so", async () => {
    await using scene = await Scene.open();
    // Nothing is uploaded, and so fails, before it is asked for.
    const keys = "sync-interval: 1h\nshutdown-sync-timeout: 1ms\n";
    await using daemon = await Daemon.of(scene, keys).ready();
    const { path } = scene;
    await daemon.ask("POST", "/sync", { path, wait: true });
    scene.blockReplica();
    await scene.app.ledger(1);
    const waiting = daemon.ask("POST", "/sync", { path, wait: true, timeout: 600 });
    await daemon.event("replica.failed");
    const ended = daemon.child.end("SIGTERM");
    expect(await waiting).toMatchObject({
      status: 409,
      answer: { error: expect.stringContaining("is being stopped") },
    });
    expect((await ended).code).toBe(1);
    expect(daemon.hasSocket()).toBe(false);
  });

  test("refuses what it cannot do, and says why", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { path } = scene;
    const unknown = { path: `${path}.other` };
    const other = scene.directory.file("other.db");
    await daemon.ask("POST", "/stop", { path });
    const cases: readonly [string, string, unknown, number, RegExp][] = [
      ["POST", "/start", unknown, 404, /not among the databases/u],
      ["POST", "/stop", unknown, 404, /not among the databases/u],
      ["POST", "/sync", unknown, 404, /not among the databases/u],
      ["GET", "/txid?path=/nowhere.db", undefined, 404, /not among the databases/u],
      ["GET", "/debug/sync-status?path=/nowhere.db", undefined, 404, /not among the databases/u],
      ["GET", "/txid", undefined, 400, /path required/u],
      ["POST", "/sync", { path }, 409, /is stopped/u],
      ["POST", "/sync", { path, wait: "yes" }, 400, /wait must be true or false/u],
      ["POST", "/stop", { path, timeout: 1.5 }, 400, /whole number of seconds/u],
      ["POST", "/stop", { path: 3 }, 400, /path required/u],
      ["POST", "/stop", {}, 400, /path required/u],
      ["POST", "/stop", "", 400, /invalid request body/u],
      ["POST", "/stop", '{"path":', 400, /invalid request body/u],
      ["POST", "/stop", "[1]", 400, /./u],
      ["POST", "/stop", { path: "x".repeat(70_000) }, 413, /too large/u],
      ["POST", "/register", { path: other }, 400, /replica_url required/u],
      ["POST", "/register", { path: other, replica_url: "backups" }, 400, /must begin with file/u],
      ["POST", "/register", { path: other, replica_url: "sftp://a/b" }, 400, /cannot write/u],
      ["POST", "/register", { path: other, replica_url: scene.replica }, 409, /is that of/u],
      ["POST", "/register", { path, replica_url: "file:///x" }, 409, /another replica/u],
      ["GET", "/stop", undefined, 405, /takes POST/u],
      ["POST", "/list", {}, 405, /takes GET/u],
      ["GET", "/metrics", undefined, 404, /there is no/u],
    ];
    for (const [method, url, body, status, message] of cases) {
      const got = await daemon.ask(method, url, body);
      expect([method, url, got.status]).toEqual([method, url, status]);
      expect(got.answer["error"]).toMatch(message);
    }
    const { answer } = await daemon.ask("GET", "/list");
    expect(answer).toMatchObject({ databases: [{ path, status: "stopped" }] });
  });

  test("registers and unregisters a database, once however often it is asked", async () => {
    await using scene = await Scene.open();
    await using other = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { path, replica } = other;
    const registered = () => daemon.ask("POST", "/register", { path, replica_url: replica });
    expect(await registered()).toEqual({ status: 200, answer: { status: "registered", path } });
    expect(await registered()).toEqual({
      status: 200,
      answer: { status: "already_registered", path },
    });
    daemon.child.signal("SIGHUP");
    await daemon.event("config.reloaded");
    expect((await daemon.ask("GET", "/info")).answer["database_count"]).toBe(2);
    const seq = await other.app.ledger(2);
    expect(await daemon.ask("POST", "/unregister", { path })).toMatchObject({
      status: 200,
      answer: { status: "unregistered", path, txid: expect.any(Number) },
    });
    expect((await other.prove()).at(-1)?.seq).toBe(seq);
    expect(await daemon.ask("POST", "/unregister", { path })).toMatchObject({
      status: 200,
      answer: { status: "already_unregistered", path },
    });
    expect(await daemon.ask("GET", "/list")).toMatchObject({
      answer: { databases: [{ path: scene.path }] },
    });
    expect((await registered()).answer["status"]).toBe("registered");
  });

  test("begins with no database at all, and one that the file lists is registered by its entry", async () => {
    await using scene = await Scene.open();
    const { path, replica, directory } = scene;
    await using empty = new Daemon(directory, { databases: [] });
    await empty.event("control.listening");
    await empty.ask("POST", "/register", { path, replica_url: replica });
    await empty.event("database.replicating");
    expect((await empty.child.end("SIGTERM")).code).toBe(0);
    await using daemon = await Daemon.of(scene).ready();
    await daemon.ask("POST", "/unregister", { path });
    daemon.child.signal("SIGHUP");
    await daemon.event("config.reloaded");
    expect((await daemon.ask("GET", "/info")).answer["database_count"]).toBe(0);
    expect(await daemon.ask("POST", "/register", { path, replica_url: replica })).toMatchObject({
      answer: { status: "registered" },
    });
    const seq = await scene.app.ledger(1);
    await daemon.ask("POST", "/sync", { path, wait: true });
    expect((await scene.prove()).at(-1)?.seq).toBe(seq);
  });

  test("the file does not get the replica of a registered database before that one is gone", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { directory } = scene;
    const [registered, listed] = [directory.file("registered.db"), directory.file("listed.db")];
    const replica = directory.url("shared");
    await daemon.ask("POST", "/register", { path: registered, replica_url: replica });
    appendFileSync(daemon.config, `  - path: ${listed}\n    replica:\n      url: ${replica}\n`);
    daemon.child.signal("SIGHUP");
    expect(await daemon.event("database.not-added")).toContain(listed);
    expect((await daemon.ask("GET", "/info")).answer["database_count"]).toBe(2);
    await daemon.ask("POST", "/unregister", { path: registered });
    daemon.child.signal("SIGHUP");
    await daemon.event("database.added", listed);
  });

  test("does not keep a registration that fails at once", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const path = scene.directory.file("broken.db");
    writeFileSync(path, "this is not a database\n".repeat(100));
    const replica_url = scene.directory.url("broken");
    expect(await daemon.ask("POST", "/register", { path, replica_url })).toMatchObject({
      status: 500,
      answer: { error: expect.stringMatching(/was not registered: .*not a SQLite/u) },
    });
    expect((await daemon.ask("GET", "/info")).answer["database_count"]).toBe(1);
  });

  test("starts again a database that had to stop for a Litestream", async () => {
    await using scene = await Scene.open();
    await using daemon = await Daemon.of(scene).ready();
    const { path } = scene;
    const litestream = scene.directory.file(".app.db-litestream");
    mkdirSync(`${litestream}/ltx`, { recursive: true });
    await scene.app.ledger(1);
    await daemon.event("database.stopped");
    expect(await daemon.ask("GET", "/list")).toMatchObject({
      answer: {
        databases: [{ path, status: "stopped", error: expect.stringContaining("Litestream") }],
      },
    });
    expect((await daemon.ask("POST", "/sync", { path })).status).toBe(500);
    rmSync(litestream, { recursive: true });
    expect(await daemon.ask("POST", "/start", { path })).toMatchObject({
      status: 200,
      answer: { status: "started" },
    });
    const seq = await scene.app.ledger(1);
    await daemon.ask("POST", "/sync", { path, wait: true });
    expect((await scene.prove()).at(-1)?.seq).toBe(seq);
  });

  test("a second Headwater leaves the socket of the first alone, and replicates without one", async () => {
    await using scene = await Scene.open();
    await using other = await Scene.open();
    await using first = await Daemon.of(scene).ready();
    await using second = new Daemon(other.directory, { databases: [other], socket: first.socket });
    expect(await second.event("control.unavailable")).toContain("another process listens there");
    await second.event("database.replicating");
    expect((await second.child.end("SIGTERM")).code).toBe(0);
    expect((await first.ask("GET", "/info")).answer["pid"]).toBe(first.child.pid);
  });

  test("replaces a socket that a killed Headwater left behind", async () => {
    await using scene = await Scene.open();
    await using first = await Daemon.of(scene).ready();
    await first.child.end("SIGKILL");
    expect(first.hasSocket()).toBe(true);
    expect((await first.command("info")).stderr).toContain("its Headwater has ended");
    await using second = await Daemon.of(scene).ready();
    expect((await second.ask("GET", "/info")).answer["pid"]).toBe(second.child.pid);
  });
});
