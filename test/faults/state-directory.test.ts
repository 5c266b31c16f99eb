// A state directory that is lost, old, damaged or taken.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  engineFailure,
  engineReady,
  eventsOf,
  loggedEvent,
  stopEngine,
  syncEngine,
  tellEngine,
} from "../support/engine.ts";
import { Scene, expectKept } from "../support/scene.ts";
import { until } from "../support/until.ts";

/** A database that was replicated and whose engine has stopped. */
async function replicated(): Promise<Scene> {
  const scene = await Scene.open();
  const engine = scene.engine();
  await engineReady(engine);
  await scene.app.ledger(5);
  await syncEngine(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await stopEngine(engine);
  return scene;
}

/** Starts again, commits, and proves that nothing was lost and nothing older has changed. Returns the events. */
async function goesOn(scene: Scene): Promise<readonly string[]> {
  const before = await scene.history();
  // Without its node id it waits until the replica has been quiet for two minutes.
  const engine = scene.engine({ clockSpeed: 200 });
  await engineReady(engine);
  await scene.app.ledger(2);
  await syncEngine(engine);
  expectKept(before, await scene.prove());
  await stopEngine(engine);
  return eventsOf(engine);
}

test("a deleted state directory is made anew, and the history goes on", async () => {
  await using scene = await replicated();
  rmSync(scene.stateDirectory, { recursive: true });
  await scene.app.ledger(3);
  await expect(goesOn(scene)).resolves.toContain("replica.adopted");
});

test("a state directory deleted while the engine runs is an error, and the next start loses nothing", async () => {
  await using scene = await replicated();
  const engine = scene.engine();
  await engineReady(engine);
  rmSync(scene.stateDirectory, { recursive: true });
  await scene.app.ledger(3);
  expect(await engineFailure(engine)).toMatch(/^failed engine\/state /u);
  await expect(goesOn(scene)).resolves.toContain("replica.adopted");
});

test("a state directory rolled back to an older copy never mixes two histories", async () => {
  await using scene = await replicated();
  const copy = scene.directory.file("copy-of-state");
  cpSync(scene.stateDirectory, copy, { recursive: true });
  await goesOn(scene);
  await goesOn(scene);
  rmSync(scene.stateDirectory, { recursive: true });
  cpSync(copy, scene.stateDirectory, { recursive: true });
  await scene.app.ledger(2);
  await expect(goesOn(scene)).resolves.toContain("replica.adopted");
});

const damages: Readonly<Record<string, (scene: Scene) => void>> = {
  "a missing checksum table": ({ stateDirectory }) =>
    rmSync(join(stateDirectory, "page-checksums")),
  "a damaged checksum table": ({ stateDirectory }) => {
    const path = join(stateDirectory, "page-checksums");
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 3) ^ 1, bytes.length - 3);
    writeFileSync(path, bytes);
  },
  "a checksum table cut short": ({ stateDirectory }) =>
    writeFileSync(join(stateDirectory, "page-checksums"), "short"),
  "missing positions": (scene) => {
    for (const path of positions(scene)) rmSync(path);
  },
  "positions that are garbage": (scene) => {
    for (const path of positions(scene)) writeFileSync(path, "{ not json");
  },
  "positions of somewhere else": (scene) => {
    for (const path of positions(scene))
      writeFileSync(path, `{"salt1":1,"salt2":2,"frame":3,"checksum1":4,"checksum2":5}`);
  },
  "a damaged record of the replica": ({ stateDirectory }) => {
    const directory = join(stateDirectory, "replicas");
    for (const name of readdirSync(directory)) writeFileSync(join(directory, name), "garbage");
  },
  "left-over temporary files": ({ stateDirectory }) => {
    writeFileSync(join(stateDirectory, "ltx", "0", "00000000000000ff.ltx.tmp"), "half");
    writeFileSync(join(stateDirectory, "ltx", "0", "00000000000000ff.pos"), "{}");
  },
};

function positions({ stateDirectory }: Scene): readonly string[] {
  const directory = join(stateDirectory, "ltx", "0");
  return readdirSync(directory)
    .filter((name) => name.endsWith(".pos"))
    .map((name) => join(directory, name));
}

test.each(Object.entries(damages))("goes on after %s", async (_name, damage) => {
  await using scene = await replicated();
  damage(scene);
  await scene.app.ledger(2);
  await expect(goesOn(scene)).resolves.toContain("database.replicating");
});

/** Replicated, then more committed while the store did not answer: the newest staged file is nowhere else. */
async function withUnsentFile(): Promise<Scene> {
  const scene = await replicated();
  await scene.app.ledger(3);
  const storeFault = {
    fault: { kind: "fail" },
    operations: ["put"],
    fromCall: 1,
    calls: 1e9,
  } as const;
  const engine = scene.engine({ storeFault, shutdownMs: 500 });
  await loggedEvent(engine, "replica.failed");
  expect(await stopEngine(engine)).toBe(1);
  return scene;
}

const injuries: Readonly<Record<string, (path: string) => void>> = {
  "cut off": (path) => writeFileSync(path, readFileSync(path).subarray(0, 50)),
  "with a flipped bit": (path) => {
    const bytes = readFileSync(path);
    bytes[200] = (bytes[200] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  },
};

test.each(Object.entries(injuries))(
  "a staged file that is %s never reaches the replica; what it held does",
  async (_name, injure) => {
    await using scene = await withUnsentFile();
    injure(join(scene.stateDirectory, "ltx", "0", scene.staged.at(-1) ?? ""));
    await expect(goesOn(scene)).resolves.toContain("staging.damaged");
  },
);

test("a staged file that vanishes or shrinks while the engine runs is captured anew", async () => {
  for (const injure of [rmSync, (path: string): void => writeFileSync(path, "short")]) {
    await using scene = await replicated();
    const engine = scene.engine({ clockSpeed: 50 });
    await engineReady(engine);
    await syncEngine(engine);
    await tellEngine(engine, "fail");
    const newest = scene.staged.at(-1);
    const seq = await scene.app.ledger(1);
    await until(() => scene.staged.at(-1) !== newest);
    injure(join(scene.stateDirectory, "ltx", "0", scene.staged.at(-1) ?? ""));
    await tellEngine(engine, "heal");
    await syncEngine(engine);
    expect(eventsOf(engine)).toContain("staging.damaged");
    expect((await scene.prove()).at(-1)?.seq).toBe(seq);
  }
});

test("a second engine on the same state is refused and told the process of the first", async () => {
  await using scene = await replicated();
  const first = scene.engine();
  await engineReady(first);
  const failure = await engineFailure(scene.engine());
  expect(failure).toMatch(/^failed engine\/locked /u);
  expect(failure).toContain(`process ${first.pid}`);
  await scene.app.ledger(1);
  await syncEngine(first);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});
