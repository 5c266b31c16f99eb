// The engine dies before some of its calls, every fifteenth, to the file system.
import { expect, test } from "vitest";
import { engineReady, syncEngine } from "../support/engine.ts";
import { Scene } from "../support/scene.ts";
import { dieFromPrepared, dieRepeatedly } from "./kill-points.ts";
import {
  withForeignHead,
  withRestoredDatabase,
  withSecondAhead,
  withoutReplica,
} from "./kill-scenes.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);
/** A different part of the calls each time; the slow tests die at each. */
const step = 15;
const first = 1 + (seed % step);

test(`a database that is replicated already, killed at some call (HEADWATER_SEED=${seed})`, async () => {
  await using scene = await Scene.open();
  expect(await dieRepeatedly(scene, { from: first, step })).toBeGreaterThan(2);
  const engine = scene.engine();
  await engineReady(engine);
  await syncEngine(engine);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test(`a database that is followed by push, killed at some call (HEADWATER_SEED=${seed})`, async () => {
  await using scene = await Scene.open();
  const engine = { followed: true, pushIntervalMs: 0 };
  expect(await dieRepeatedly(scene, { from: first, step, engine })).toBeGreaterThan(2);
  const last = scene.engine(engine);
  await engineReady(last);
  await syncEngine(last);
  await expect(scene.prove()).resolves.not.toHaveLength(0);
});

test(`the first image, killed at some call (HEADWATER_SEED=${seed})`, async () => {
  await using prepared = await withoutReplica();
  expect(await dieFromPrepared(prepared, { from: first, step })).toBeGreaterThan(2);
});

test(`a take-over, killed at some call (HEADWATER_SEED=${seed})`, async () => {
  await using prepared = await withForeignHead();
  const engine = { takeOver: true };
  expect(await dieFromPrepared(prepared, { from: first, step, engine })).toBeGreaterThan(2);
});

test(`a restored database, killed at some call (HEADWATER_SEED=${seed})`, async () => {
  await using prepared = await withRestoredDatabase();
  expect(await dieFromPrepared(prepared, { from: first, step })).toBeGreaterThan(2);
});

test(`two new replicas, killed at some call (HEADWATER_SEED=${seed})`, async () => {
  await using prepared = await withoutReplica();
  const deaths = await dieFromPrepared(prepared, { from: first, step, isTwofold: true });
  expect(deaths).toBeGreaterThan(2);
});

test(`a second replica that is ahead, killed at some call (HEADWATER_SEED=${seed})`, async () => {
  await using prepared = await withSecondAhead();
  const engine = { takeOver: true };
  const deaths = await dieFromPrepared(prepared, { from: first, step, engine, isTwofold: true });
  expect(deaths).toBeGreaterThan(2);
});
