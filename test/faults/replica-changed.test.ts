// A replica that is emptied, written by somebody else, or continued by another engine.
import { copyFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Child } from "../support/children.ts";
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
import type { ReplicatingScene } from "../support/scene.ts";

/** Three transactions were committed while the engine was at work. */
const replicating = (clockSpeed = 1): Promise<ReplicatingScene> =>
  openReplicating({ clockSpeed, more: 3 });

function levelZero(scene: Scene): readonly string[] {
  const directory = join(scene.replicaPath, "ltx", "0");
  return readdirSync(directory)
    .sort()
    .map((name) => join(directory, name));
}

const puts = (child: Child): number =>
  eventsOf(child).filter((event) => event === "ltx.uploaded").length;

test("a replica emptied while nobody runs gets an image of what is held", async () => {
  await using started = await replicating();
  const { scene, engine } = started;
  await stopEngine(engine);
  rmSync(scene.replicaPath, { recursive: true });
  await scene.app.ledger(2);
  const next = scene.engine();
  await engineReady(next);
  await syncEngine(next);
  expect((await scene.prove()).at(-1)?.seq).toBe(25);
});

test("a replica emptied while the engine rests gets an image of what is held before the next put", async () => {
  await using started = await replicating(1_000_000);
  const { scene, engine } = started;
  rmSync(scene.replicaPath, { recursive: true });
  await scene.app.ledger(2);
  await syncEngine(engine);
  expect((await scene.prove()).at(-1)?.seq).toBe(25);
});

test("a replica emptied between two puts of a busy engine is noticed within a minute or two", async () => {
  await using started = await replicating(60);
  const { scene, engine } = started;
  rmSync(scene.replicaPath, { recursive: true });
  const from = engine.lines.length;
  await repeatUntil(loggedEvent(engine, "replica.adopted", from), async () => {
    await scene.app.ledger(1);
    await syncEngine(engine);
  });
  await scene.app.ledger(1);
  await syncEngine(engine);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test("an object overwritten by another writer stops a resting engine, which names the object", async () => {
  await using started = await replicating(1_000_000);
  const { scene, engine } = started;
  const [first = "", last = ""] = [levelZero(scene).at(-2), levelZero(scene).at(-1)];
  rmSync(last);
  copyFileSync(first, last);
  await scene.app.ledger(1);
  const failure = await engineFailure(engine);
  expect(failure).toMatch(/^failed engine\/another-writer /u);
  expect(failure).toContain("ltx/0/");
});

test("an object of another writer under the next name stops a busy engine", async () => {
  await using started = await replicating();
  const { scene, engine } = started;
  const last = levelZero(scene).at(-1) ?? "";
  const next = last.replaceAll(/([0-9a-f]{16})/gu, (txid) =>
    (BigInt(`0x${txid}`) + 1n).toString(16).padStart(16, "0"),
  );
  writeFileSync(next, "what another program wrote");
  await scene.app.ledger(1);
  expect(await engineFailure(engine)).toMatch(/^failed engine\/another-writer .*unknown program/u);
});

test("an object overwritten while nobody runs is found at the next start, and nothing of it is used", async () => {
  await using started = await replicating();
  const { scene, engine } = started;
  await stopEngine(engine);
  const last = levelZero(scene).at(-1) ?? "";
  rmSync(last);
  writeFileSync(last, "garbage of another program");
  await scene.app.ledger(1);
  expect(await engineFailure(scene.engine({ once: true }))).not.toBe("");
});

test("two engines on one replica: the one that loses stops and says who writes since when", async () => {
  await using started = await replicating();
  const { scene, engine } = started;
  const before = await scene.prove();
  await using other = await Scene.open({ transactions: 30 });
  const winner = other.engine({ replica: scene.replica, takeOver: true });
  await engineReady(winner);
  await syncEngine(winner);
  await scene.app.ledger(1);
  expect(await engineFailure(engine)).toMatch(
    /^failed engine\/another-writer .*a Headwater with node id [0-9a-f]{16} at \d{4}-/u,
  );
  await other.app.ledger(1);
  await syncEngine(winner);
  expectKept(before, await other.prove({ replica: scene.replica, mayGoBack: true }));
});

test("a foreign head is waited for, and nothing is put meanwhile", async () => {
  await using started = await replicating();
  const { scene, engine } = started;
  await stopEngine(engine);
  const before = levelZero(scene);
  await scene.app.ledger(1);
  const stranger = scene.engine({ stateDir: scene.directory.file("other-state") });
  await loggedEvent(stranger, "replica.foreign-head");
  expect(levelZero(scene)).toEqual(before);
  await stranger.end("SIGKILL");
  const once = scene.engine({ stateDir: scene.directory.file("third-state"), once: true });
  expect(await engineFailure(once)).toMatch(/^failed engine\/another-writer /u);
  expect(levelZero(scene)).toEqual(before);
});

test("after two quiet minutes a foreign head is continued", async () => {
  await using started = await replicating();
  const { scene, engine } = started;
  await stopEngine(engine);
  const before = await scene.prove();
  await scene.app.ledger(1);
  const stranger = scene.engine({ stateDir: scene.directory.file("other-state"), clockSpeed: 100 });
  await engineReady(stranger);
  await syncEngine(stranger);
  expect(eventsOf(stranger)).toContain("replica.foreign-head");
  expectKept(before, await scene.prove());
});

test.each([
  ["with its state", undefined],
  ["without any state", "other-state"],
])(
  "a database restored from its replica, %s, uploads nothing until it changes",
  async (_how, state) => {
    await using started = await replicating();
    const { scene, engine } = started;
    await stopEngine(engine);
    const before = await scene.prove();
    await scene.restoreInPlace();
    const stateDir = state === undefined ? undefined : scene.directory.file(state);
    const next = scene.engine({ stateDir });
    await engineReady(next);
    await syncEngine(next);
    expect(puts(next)).toBe(0);
    expect(await scene.prove()).toEqual(before);
    await scene.app.ledger(1);
    await syncEngine(next);
    expect(puts(next)).toBe(1);
    expectKept(before, await scene.prove());
  },
);

test("a replica that lost its newest files and its images is continued after what is left", async () => {
  await using started = await replicating();
  const { scene, engine } = started;
  for (let i = 0; i < 3; i++) {
    await scene.app.ledger(1);
    await syncEngine(engine);
  }
  await stopEngine(engine);
  rmSync(join(scene.replicaPath, "ltx", "9"), { recursive: true });
  for (const path of levelZero(scene).slice(-2)) rmSync(path);
  await scene.app.ledger(1);
  const next = scene.engine({ clockSpeed: 200 });
  await engineReady(next);
  await syncEngine(next);
  const image = await scene.untilReplicated();
  expect(image.at(-1)?.seq).toBe(27);
});
