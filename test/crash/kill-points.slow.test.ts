// The engine dies before each of its calls to the file system.
import { expect, test } from "vitest";
import { engineReady, syncEngine } from "../support/engine.ts";
import type { EngineChildOptions } from "../support/engine.ts";
import { Scene } from "../support/scene.ts";
import { dieFromPrepared, dieRepeatedly } from "./kill-points.ts";
import {
  withForeignHead,
  withRestoredDatabase,
  withSecondAhead,
  withoutReplica,
} from "./kill-scenes.ts";

/** At every call, two at a time. */
async function dieAtEach(
  prepared: Scene,
  engine: Partial<EngineChildOptions> = {},
  { isTwofold = false } = {},
): Promise<number> {
  const lanes = [1, 2].map((from) =>
    dieFromPrepared(prepared, { from, step: 2, engine, isTwofold }),
  );
  const deaths = await Promise.all(lanes);
  return deaths.reduce((sum, one) => sum + one, 0);
}

test(`a database that is replicated already, killed at each call`, async () => {
  await using scene = await Scene.open();
  expect(await dieRepeatedly(scene, { from: 1, step: 1 })).toBeGreaterThan(20);
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test(`the first image, killed at each call`, async () => {
  await using prepared = await withoutReplica();
  expect(await dieAtEach(prepared)).toBeGreaterThan(20);
});

test(`a take-over, killed at each call`, async () => {
  await using prepared = await withForeignHead();
  expect(await dieAtEach(prepared, { takeOver: true })).toBeGreaterThan(20);
});

test(`a restored database, killed at each call`, async () => {
  await using prepared = await withRestoredDatabase();
  expect(await dieAtEach(prepared)).toBeGreaterThan(20);
});

test(`two new replicas, killed at each call`, async () => {
  await using prepared = await withoutReplica();
  expect(await dieAtEach(prepared, {}, { isTwofold: true })).toBeGreaterThan(20);
});

test(`a second replica that is ahead, killed at each call`, async () => {
  await using prepared = await withSecondAhead();
  const deaths = await dieAtEach(prepared, { takeOver: true }, { isTwofold: true });
  expect(deaths).toBeGreaterThan(20);
});
