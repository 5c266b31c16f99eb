// Two engines on one replica: who goes on, who stops, and what it says.
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { expect, test } from "vitest";
import {
  engineFailure,
  engineReady,
  eventsOf,
  loggedEvent,
  repeatUntil,
  stopEngine,
  syncEngine,
} from "../support/engine.ts";
import { Scene, expectKept, openReplicating } from "../support/scene.ts";

/** The lease as it lies in the replica. */
function leaseOf(scene: Scene): Readonly<Record<string, unknown>> | undefined {
  const path = `${scene.replicaPath}/lease.json`;
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

test("a second engine on the replica of one at work stops at its start, and says whose it is since when", async () => {
  await using started = await openReplicating();
  const { scene, engine } = started;
  const { owner, acquiredAt } = leaseOf(scene) ?? {};
  await using other = await Scene.open();
  const second = other.engine({ replica: scene.replica });
  const before = await scene.prove();
  await loggedEvent(second, "lease.watched");
  await repeatUntil(second.exited, async () => {
    await scene.app.ledger(1);
    await syncEngine(engine);
  });
  const failure = await engineFailure(second);
  expect(failure).toMatch(/^failed engine\/another-writer .*is held by/u);
  expect(failure).toContain(`since ${String(acquiredAt)} (${String(owner)})`);
  expect(eventsOf(second)).not.toContain("ltx.uploaded");
  expect(await stopEngine(engine)).toBe(0);
  expectKept(before, await scene.prove());
});

test("a single pass on the replica of another engine fails at once", async () => {
  await using started = await openReplicating();
  await using other = await Scene.open();
  const once = other.engine({ replica: started.scene.replica, once: true });
  expect(await engineFailure(once)).toMatch(/^failed engine\/another-writer .*is held by/u);
  expect(eventsOf(once)).not.toContain("ltx.uploaded");
});

test("an engine that was silent for too long finds before its next put who took the lease", async () => {
  await using started = await openReplicating({ clockSpeed: 1_000 });
  const { scene, engine } = started;
  await using other = await Scene.open({ transactions: 30 });
  const second = other.engine({ replica: scene.replica, clockSpeed: 100 });
  await engineReady(second);
  await syncEngine(second);
  const { owner } = leaseOf(scene) ?? {};
  const puts = eventsOf(engine).filter((event) => event === "ltx.uploaded").length;
  await scene.app.ledger(1);
  const failure = await engineFailure(engine);
  expect(failure).toMatch(/^failed engine\/another-writer .*was taken by/u);
  expect(failure).toContain(`(${String(owner)})`);
  expect(eventsOf(engine).filter((event) => event === "ltx.uploaded")).toHaveLength(puts);
  await other.app.ledger(1);
  await syncEngine(second);
  await other.prove({ replica: scene.replica, mayGoBack: true });
});

test("an engine that is killed goes on at once when it is started again", async () => {
  await using started = await openReplicating();
  const { scene, engine } = started;
  await engine.end("SIGKILL");
  expect(leaseOf(scene)).toBeDefined();
  await scene.app.ledger(1);
  const next = scene.engine();
  await engineReady(next);
  await syncEngine(next);
  expect(eventsOf(next)).not.toContain("lease.watched");
  await scene.prove();
});

test("an engine that is stopped leaves no lease behind", async () => {
  await using started = await openReplicating();
  const { scene, engine } = started;
  await stopEngine(engine);
  expect(leaseOf(scene)).toBeUndefined();
  const once = scene.engine({ once: true });
  await engineReady(once);
  expect(await stopEngine(once)).toBe(0);
  expect(eventsOf(once)).not.toContain("lease.watched");
  expect(leaseOf(scene)).toBeUndefined();
});

test("after a machine is lost another continues its replica once the lease was silent", async () => {
  await using started = await openReplicating();
  const { scene, engine } = started;
  const before = await scene.prove();
  await engine.end("SIGKILL");
  renameSync(scene.stateDirectory, scene.directory.file("lost"));
  rmSync(scene.directory.file("lost"), { recursive: true });
  const next = scene.engine({ clockSpeed: 50 });
  await engineReady(next);
  await syncEngine(next);
  expect(eventsOf(next)).toContain("lease.watched");
  expectKept(before, await scene.prove());
});

test("without a lease nothing but files is put", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ leaseTtlMs: 0 });
  await engineReady(engine);
  await syncEngine(engine);
  expect(leaseOf(scene)).toBeUndefined();
});

test("after a rest the lease is looked at before the next put", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ clockSpeed: 1_000_000, printCalls: true, levels: [] });
  await engineReady(engine);
  await syncEngine(engine);
  const from = engine.lines.length;
  await scene.app.ledger(1);
  await syncEngine(engine);
  const calls = engine.lines.slice(from).filter((line) => line.startsWith("store "));
  const looks = calls.findIndex((line) => line.endsWith(" head lease.json"));
  expect(looks).toBeGreaterThanOrEqual(0);
  expect(looks).toBeLessThan(calls.findIndex((line) => line.includes(" put ltx/0/")));
});
