// The engine dies before each of its calls to the file system.
import { expect, test } from "vitest";
import { engineReady, syncEngine } from "../support/engine.ts";
import { Scene } from "../support/scene.ts";
import { dieFromPrepared, dieRepeatedly } from "./kill-points.ts";
import { withForeignHead, withRestoredDatabase, withoutReplica } from "./kill-scenes.ts";

const first = 1;
const step = 1;

test(`a database that is replicated already, killed at each call`, async () => {
  await using scene = await Scene.open();
  expect(await dieRepeatedly(scene, { from: first, step })).toBeGreaterThan(20);
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test(`the first image, killed at each call`, async () => {
  await using prepared = await withoutReplica();
  expect(await dieFromPrepared(prepared, { from: first, step })).toBeGreaterThan(20);
});

test(`a take-over, killed at each call`, async () => {
  await using prepared = await withForeignHead();
  const engine = { takeOver: true };
  expect(await dieFromPrepared(prepared, { from: first, step, engine })).toBeGreaterThan(20);
});

test(`a restored database, killed at each call`, async () => {
  await using prepared = await withRestoredDatabase();
  expect(await dieFromPrepared(prepared, { from: first, step })).toBeGreaterThan(20);
});
