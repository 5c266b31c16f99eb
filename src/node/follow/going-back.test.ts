// Going back with a replica that has gone another way, by fetching the pages that differ and no others.
import { rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { endState } from "../../../test/support/followed.ts";
import {
  HealingScene,
  image,
  imageBytes,
  sceneWithImage,
  single,
  update,
} from "../../../test/support/healing-scene.ts";
import type { FileRange } from "../../../test/support/replica-builder.ts";
import { historyOf } from "../../../test/support/sqlite-history.ts";

describe("a replica that has gone another way", () => {
  const left = [update(60), update(80), update(100)];
  const right = [update(120), update(140)];

  it.each<readonly [string, readonly FileRange[]]>([
    ["by single files", [single(4), single(5)]],
    ["by a merged file", [{ level: 1, min: 4, max: 5 }]],
    ["by a file that begins before", [{ level: 1, min: 3, max: 5 }]],
    ["by single files and a newer image", [single(4), single(5), { level: 9, min: 1, max: 5 }]],
  ])("is followed back to the last common TXID and on: %s", async (_, ranges) => {
    using healing = await sceneWithImage({ left, right });
    const follower = await healing.followToEnd();
    expect(follower.txid).toBe(6n);
    await healing.goAnotherWay(4, ranges);
    expect(await follower.catchUp()).toBe(5n);
    expect(follower.log).toContainEqual({
      event: "follow.healing",
      fields: { path: healing.scene.output, reason: "history-changed" },
    });
    expect(follower.events).not.toContain("follow.pages-failed");
    // Five rows in as many pages, besides page 1 and what leads to it.
    const pages = follower.log.findLast(({ event }) => event === "follow.applied")?.fields["pages"];
    expect(pages).toBeLessThan(12);
    expect(healing.counted.takeBytes()).toBeLessThan(imageBytes / 4);
    expect(await healing.rightState(follower)).toBe(5);
  });

  it("is followed back again and again, and across starts", async () => {
    using healing = await sceneWithImage({ left, right });
    const { scene } = healing;
    const first = await healing.followToEnd();
    await first[Symbol.asyncDispose]();
    await healing.goAnotherWay(4, [single(4), single(5)]);
    const second = await healing.follow();
    expect(await healing.rightState(second)).toBe(5);
    healing.remove(single(4), single(5));
    await scene.publish(4, 6);
    const third = await healing.open();
    expect(await third.catchUp()).toBe(6n);
    expect(healing.counted.takeBytes()).toBeLessThan(imageBytes / 4);
    expect(await endState(scene, third)).toBe(6);
  });

  it.each([
    ["shrunk here, grown there", "DELETE FROM t WHERE id > 350", grow(20)],
    ["grown here, shrunk there", grow(20), "DELETE FROM t WHERE id > 350"],
    ["shrunk and grown here", `DELETE FROM t WHERE id > 380; ${grow(8)}`, update(120)],
  ])("is followed back where the database has %s", async (_, here, there) => {
    const steps = { left: [here, update(10)], right: [there, update(30)] };
    using healing = await sceneWithImage(steps);
    const follower = await healing.followToEnd();
    expect(follower.txid).toBe(5n);
    await healing.goAnotherWay(4, [single(4)]);
    expect(await follower.catchUp()).toBe(4n);
    expect(healing.counted.takeBytes()).toBeLessThan(imageBytes / 2);
    await healing.right.writeFiles(healing.scene.replicaPath, [single(5)]);
    expect(await follower.catchUp()).toBe(5n);
    expect(follower.events).not.toContain("follow.pages-failed");
    expect(await healing.rightState(follower)).toBe(5);
  });

  it.each<readonly [string, FileRange]>([
    ["by the file of that name", single(4)],
    ["by the one that it was merged into", { level: 1, min: 3, max: 4 }],
  ])("is noticed at the very TXID, %s, and followed by its pages", async (_, file) => {
    using healing = await sceneWithImage({ left: [update(60)], right: [update(120)] });
    const follower = await healing.followToEnd();
    await healing.goAnotherWay(4, [file]);
    expect(await follower.catchUp()).toBe(4n);
    expect(healing.counted.takeBytes()).toBeLessThan(imageBytes / 4);
    expect(await healing.rightState(follower)).toBe(4);
  });

  it("costs next to nothing if it was begun anew with the same database", async () => {
    using healing = await sceneWithImage();
    const { scene } = healing;
    const follower = await healing.followToEnd();
    rmSync(scene.replicaPath, { recursive: true });
    await historyOf(scene.states.slice(-1), scene.pageSize).writeFiles(scene.replicaPath, [
      single(1),
    ]);
    expect(await follower.catchUp()).toBe(1n);
    expect(follower.log.at(-1)).toMatchObject({ event: "follow.applied", fields: { pages: 0 } });
    expect(healing.counted.takeBytes()).toBeLessThan(imageBytes / 8);
    expect(await endState(scene, follower)).toBe(3);
  });

  it("costs a full image where no common TXID is left, and only one", async () => {
    using healing = await sceneWithImage({ left, right });
    const { scene } = healing;
    const follower = await healing.followToEnd();
    healing.remove(image, single(1), single(2), single(3));
    await healing.goAnotherWay(4, [{ level: 9, min: 1, max: 5 }]);
    expect(await follower.catchUp()).toBe(5n);
    const gets = healing.counted.take().filter(({ bytes }) => bytes > imageBytes / 2);
    expect(gets).toHaveLength(1);
    expect(await healing.rightState(follower)).toBe(5);
    expect(scene.stateOf()).toBeUndefined();
  });

  it("is found out by the proof where it went on unnoticed, and costs one full image", async () => {
    // Another database, of which no file ends where the output is: it looks as if it went on from there.
    using healing = await sceneWithImage();
    using other = new HealingScene({ left: [update(60)] });
    const { scene, counted } = healing;
    const follower = await healing.followToEnd();
    rmSync(scene.replicaPath, { recursive: true });
    await other.scene.history.writeFiles(scene.replicaPath, [
      { level: 9, min: 1, max: 2 },
      { level: 1, min: 3, max: 4 },
    ]);
    healing.damagePage(200);
    expect(await follower.catchUp()).toBe(4n);
    expect(follower.log).toContainEqual({
      event: "follow.pages-failed",
      fields: expect.objectContaining({ code: "replica/proof" }),
    });
    expect(counted.take().filter(({ bytes }) => bytes > imageBytes / 2)).toHaveLength(1);
    await follower[Symbol.asyncDispose]();
    expect(other.scene.stateOf(scene.output)).toBe(4);
  });

  it("costs a full image if its pages have another size", async () => {
    using healing = await sceneWithImage();
    using other = new HealingScene({ pageSize: 8192 });
    const { scene } = healing;
    const follower = await healing.followToEnd();
    rmSync(scene.replicaPath, { recursive: true });
    await other.scene.history.writeFiles(scene.replicaPath, [image]);
    expect(await follower.catchUp()).toBe(3n);
    expect(follower.events).not.toContain("follow.pages-failed");
    await follower[Symbol.asyncDispose]();
    expect(other.scene.stateOf(scene.output)).toBe(3);
  });
});

/** Rows at the end. */
function grow(rows: number): string {
  return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
    INSERT INTO t SELECT 1000 + i, randomblob(3500) FROM n`;
}
