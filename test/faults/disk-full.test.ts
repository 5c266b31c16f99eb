// Disks that fill up or fail under the state directory.
import { expect, test } from "vitest";
import {
  engineFailure,
  engineReady,
  engineStatus,
  loggedEvent,
  stopEngine,
  syncEngine,
  tellEngine,
} from "../support/engine.ts";
import { Scene } from "../support/scene.ts";

test("staging waits while the disk is full, says so, and goes on when space returns", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ clockSpeed: 20 });
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "break ENOSPC file.write ");
  await scene.app.ledger(3);
  await loggedEvent(engine, "disk.full");
  expect(await engineStatus(engine)).toMatchObject({ isDiskFull: true });
  await scene.app.ledger(3);
  await tellEngine(engine, "mend");
  await loggedEvent(engine, "disk.space-returned");
  await syncEngine(engine);
  expect(await engineStatus(engine)).toMatchObject({ isDiskFull: false });
  expect((await scene.prove()).at(-1)?.seq).toBe(26);
});

test("a stop while the disk is full loses nothing of what came before and after", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "break ENOSPC file.write ");
  await scene.app.ledger(3);
  await loggedEvent(engine, "disk.full");
  await scene.app.ledger(3);
  await tellEngine(engine, "mend");
  expect(await stopEngine(engine)).toBe(0);
  expect((await scene.prove()).at(-1)?.seq).toBe(26);
});

test("a disk that stays full ends the stop with an error, and the next start goes on", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ shutdownMs: 500 });
  await engineReady(engine);
  await syncEngine(engine);
  await tellEngine(engine, "break ENOSPC ");
  await scene.app.ledger(3);
  await loggedEvent(engine, "disk.full");
  expect(await stopEngine(engine)).toBe(1);
  await scene.app.ledger(3);
  const next = scene.engine();
  await engineReady(next);
  await syncEngine(next);
  expect((await scene.prove()).at(-1)?.seq).toBe(26);
});

test("a full disk delays the checksum table and the record, and ends nothing", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ clockSpeed: 20 });
  await engineReady(engine);
  await syncEngine(engine);
  for (const match of ["replicas/", "page-checksums"]) {
    await tellEngine(engine, `break ENOSPC file.write ${scene.stateDirectory}/${match}`);
    for (let i = 0; i < 3; i++) await scene.app.ledger(2);
    await tellEngine(engine, "mend");
    await syncEngine(engine);
  }
  expect((await scene.prove()).at(-1)?.seq).toBe(32);
});

test.each([
  ["the data of a staged file", "file.sync"],
  ["the directory of staged files", "syncDirectory"],
])(
  "an I/O error at the fsync of %s ends the engine, and the next start loses nothing",
  async (_what, name) => {
    await using scene = await Scene.open();
    const engine = scene.engine();
    await engineReady(engine);
    await syncEngine(engine);
    await tellEngine(engine, `break EIO ${name} ${scene.stateDirectory}/ltx/0`);
    await scene.app.ledger(3);
    expect(await engineFailure(engine)).toContain("EIO");
    await scene.app.ledger(3);
    const next = scene.engine();
    await engineReady(next);
    await syncEngine(next);
    expect((await scene.prove()).at(-1)?.seq).toBe(26);
  },
);
