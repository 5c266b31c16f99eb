// Ends of an engine: in order, given up, and without its parent.
import { execFileSync } from "node:child_process";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Child, startModule } from "../support/children.ts";
import { engineReady, loggedEvent, stopEngine, syncEngine, tellEngine } from "../support/engine.ts";
import { Scene } from "../support/scene.ts";
import { until } from "../support/until.ts";

const cli = fileURLToPath(new URL("../../bin/headwater.js", import.meta.url));

test("a last sync is given up after its limit with exit code 1; what is staged goes up at the next start", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ shutdownMs: 200 });
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "fail");
  const seq = await scene.app.ledger(3);
  expect(await stopEngine(engine)).toBe(1);
  expect(scene.staged.length).toBeGreaterThan(1);
  const next = scene.engine();
  await engineReady(next);
  await syncEngine(next);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

test("a stop captures and uploads what was committed a moment before", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ syncIntervalMs: 3_600_000 });
  await engineReady(engine);
  await syncEngine(engine);
  const seq = await scene.app.ledger(3);
  expect(await stopEngine(engine)).toBe(0);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

test("a second signal gives the last sync up at once, with exit code 1 and what becomes of it", async () => {
  await using scene = await Scene.open();
  await using engine = new Child(process.execPath, [cli, "replicate", scene.path, scene.replica]);
  await engine.line((line) => line.includes("database.replicating"));
  await scene.untilReplicated();
  renameSync(join(scene.replicaPath, "ltx"), join(scene.replicaPath, "away"));
  writeFileSync(join(scene.replicaPath, "ltx"), "in the way");
  const seq = await scene.app.ledger(1);
  await engine.line((line) => line.includes("replica.failed"));
  engine.signal("SIGINT");
  engine.signal("SIGTERM");
  expect((await engine.exited).code).toBe(1);
  expect(engine.stderr).toContain("given up at a second signal");
  rmSync(join(scene.replicaPath, "ltx"));
  renameSync(join(scene.replicaPath, "away"), join(scene.replicaPath, "ltx"));
  const next = scene.engine();
  await engineReady(next);
  await syncEngine(next);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

test("the library's child syncs and ends when its parent is killed", async () => {
  await using scene = await Scene.open();
  const parent = startModule(
    fileURLToPath(new URL("../support/library-parent.ts", import.meta.url)),
    { path: scene.path, replica: scene.replica },
  );
  await parent.line((line) => line === "replicating");
  const children = execFileSync("pgrep", ["-P", String(parent.pid)], { encoding: "utf8" });
  const child = Number(children.trim());
  expect(child).toBeGreaterThan(0);
  const seq = await scene.app.ledger(3);
  await parent.end("SIGKILL");
  await until(() => !isAlive(child));
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

test("a store that comes back before the limit gets the last sync", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ clockSpeed: 20 });
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "fail");
  const seq = await scene.app.ledger(3);
  await loggedEvent(engine, "replica.failed");
  const stopped = stopEngine(engine);
  await tellEngine(engine, "heal");
  expect(await stopped).toBe(0);
  expect((await scene.prove()).at(-1)?.seq).toBe(seq);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
