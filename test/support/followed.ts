// An output that is followed in the process of the test, step by step.
import { readdirSync } from "node:fs";
import { expect } from "vitest";
import { FollowScene } from "./follow-scene.ts";
import { SteppedFollower } from "./follow.ts";

/** A scene whose output is at the last of the TXIDs that are published. */
export async function followed(
  publish: number,
  pageSize = 4096,
): Promise<{ scene: FollowScene; follower: SteppedFollower }> {
  const scene = new FollowScene(undefined, pageSize);
  await scene.publish(1, publish);
  const follower = await SteppedFollower.open(scene.url, scene);
  await follower.catchUp();
  return { scene, follower };
}

/** Ends the follower and says of which TXID the output is the exact state. */
export async function endState(
  scene: FollowScene,
  follower: SteppedFollower,
): Promise<number | undefined> {
  await follower[Symbol.asyncDispose]();
  const state = scene.stateOf();
  expect(readdirSync(scene.directory.file("out")).toSorted()).toEqual([
    "followed.db",
    "followed.db-follow",
    "followed.db-txid",
  ]);
  return state;
}
