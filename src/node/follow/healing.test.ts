// Healing an output, and going back with its replica, by fetching the pages that differ and no others.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { CountedGet } from "../../../test/support/counted-store.ts";
import { endState } from "../../../test/support/followed.ts";
import { HealingScene, flipBit, single, update } from "../../../test/support/healing-scene.ts";
import { type FileRange, ltxPath } from "../../../test/support/replica-builder.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { historyOf } from "../../../test/support/sqlite-history.ts";
import { readFileIndex } from "../../core/view/file-index.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import { litestreamLayout } from "../../core/replica/layout.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { systemEnvironment } from "../restore/environment.ts";

const image: FileRange = { level: 9, min: 1, max: 3 };
/** Of the whole database in a full image. */
const imageBytes = 1_400_000;

/** Where pages lie in a file of the scene. */
async function framesOf(
  { scene }: HealingScene,
  range: FileRange,
): Promise<ReadonlyMap<number, Pick<CountedGet, "offset" | "length">>> {
  await using store = await systemEnvironment().openReplica(scene.url, {});
  const files = await listReplica(store, litestreamLayout, {});
  const file = files.find(
    ({ level, maxTxid }) => level === range.level && maxTxid === BigInt(range.max),
  );
  if (file === undefined) throw new Error("no such file");
  const { entries } = await readFileIndex(store, file, { pageSize: scene.pageSize });
  return new Map(
    entries.map(({ pgno, offset, sizeBytes }) => [pgno, { offset, length: sizeBytes }]),
  );
}

/** Reads of a file that are not of its header or its end. */
function framesRead(gets: readonly CountedGet[], path: string): readonly CountedGet[] {
  const sizeBytes = readFileSync(path).length;
  return gets.filter(
    ({ key, offset, length }) =>
      path.endsWith(key) && offset > 0 && offset + (length ?? sizeBytes) < sizeBytes,
  );
}

function rangeOf({ offset, length }: CountedGet): Pick<CountedGet, "offset" | "length"> {
  return { offset, length };
}

/** A replica whose newest full image is of TXID 3. */
async function sceneWithImage(
  options?: ConstructorParameters<typeof HealingScene>[0],
): Promise<HealingScene> {
  const healing = new HealingScene(options);
  const { scene } = healing;
  await scene.history.writeFiles(scene.replicaPath, [image]);
  await scene.publish(1, 3);
  return healing;
}

describe("an output with a damaged page", () => {
  it.each([false, true])("gets that page alone (checksum files: %s)", async (hasChecksumFiles) => {
    using healing = await sceneWithImage();
    if (hasChecksumFiles) await healing.writeChecksumFiles();
    const follower = await healing.follow();
    healing.damagePage(200);
    expect(await follower.catchUp()).toBe(3n);
    expect(follower.log).toContainEqual({
      event: "follow.healing",
      fields: { path: healing.scene.output, reason: "output-changed" },
    });
    const gets = framesRead(healing.counted.gets, ltxPath(healing.scene.replicaPath, image));
    const frames = await framesOf(healing, image);
    expect(gets.map(rangeOf)).toEqual([frames.get(200)]);
    expect(healing.counted.takeBytes()).toBeLessThan(imageBytes / 8);
    expect(await endState(healing.scene, follower)).toBe(3);
  });

  it("gets it at the next start, with what is new, and is not read again after that", async () => {
    using healing = await sceneWithImage({ left: [update(60)] });
    const { scene } = healing;
    const first = await healing.follow();
    await first[Symbol.asyncDispose]();
    healing.damagePage(200);
    await scene.publish(4);
    const next = await healing.follow();
    expect(next.txid).toBe(4n);
    expect(await endState(scene, next)).toBe(4);
    const last = await healing.follow();
    expect(last.events).toEqual([]);
    expect(await endState(scene, last)).toBe(4);
  });

  it("is known by its checksum files when everything else about it is lost", async () => {
    using healing = await sceneWithImage();
    const { scene, counted } = healing;
    await healing.writeChecksumFiles();
    const first = await healing.follow();
    await first[Symbol.asyncDispose]();
    healing.damagePage(200);
    rmSync(`${scene.output}-follow`);
    const next = await healing.open();
    counted.take();
    expect(await next.catchUp()).toBe(3n);
    const gets = framesRead(counted.gets, ltxPath(scene.replicaPath, image));
    const frames = await framesOf(healing, image);
    // What page 1 was is lost with the rest.
    expect(gets.map(rangeOf)).toEqual([frames.get(1), frames.get(200)]);
    expect(await endState(scene, next)).toBe(3);
    const last = await healing.follow();
    expect(last.events).toEqual([]);
    await last[Symbol.asyncDispose]();
  });

  it("is what the image says if its checksum file is damaged", async () => {
    using healing = await sceneWithImage();
    const { scene } = healing;
    await healing.writeChecksumFiles();
    for (const path of healing.checksumFiles()) flipBit(path, 100);
    const follower = await healing.follow();
    healing.damagePage(200);
    expect(await follower.catchUp()).toBe(3n);
    expect(follower.events).toContain("view.checksums-unusable");
    expect(healing.counted.takeBytes()).toBeLessThan(imageBytes / 8);
    expect(await endState(scene, follower)).toBe(3);
  });
});

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

describe("files that go, or are damaged, while pages are fetched", () => {
  it("merged and deleted: the same TXID is read from others", async () => {
    using healing = await sceneWithImage({ left: [update(60), update(80)] });
    const { scene, counted } = healing;
    const follower = await healing.followToEnd();
    healing.damagePage(200);
    let isDone = false;
    counted.onGet = async ({ offset, length }) => {
      if (isDone || offset === 0 || length === undefined || length > 20_000) return;
      isDone = true;
      await scene.history.writeFiles(scene.replicaPath, [{ level: 9, min: 1, max: 5 }]);
      healing.remove(image, ...[1, 2, 3, 4, 5].map(single));
    };
    expect(await follower.catchUp()).toBe(5n);
    expect(isDone).toBe(true);
    expect(follower.events).not.toContain("follow.pages-failed");
    expect(counted.takeBytes()).toBeLessThan(imageBytes / 3);
    expect(await endState(scene, follower)).toBe(5);
  });

  it("gone for good: a full image of what is there then", async () => {
    using healing = await sceneWithImage({ left: [update(60), update(80)] });
    const { scene, counted } = healing;
    const follower = await healing.followToEnd();
    healing.damagePage(200);
    let isDone = false;
    counted.onGet = async ({ offset, length }) => {
      if (isDone || offset === 0 || length === undefined || length > 20_000) return;
      isDone = true;
      healing.remove(image, ...[1, 2, 3, 4, 5].map(single));
      await scene.history.writeFiles(scene.replicaPath, [{ level: 9, min: 1, max: 4 }]);
    };
    expect(await follower.catchUp()).toBe(4n);
    expect(follower.events).toContain("follow.pages-failed");
    expect(await endState(scene, follower)).toBe(4);
  });

  it.each([false, true])(
    "damaged in the page that is needed: says which file, and takes another (checksum files: %s)",
    async (hasChecksumFiles) => {
      using healing = await sceneWithImage();
      const { scene, counted } = healing;
      if (hasChecksumFiles) await healing.writeChecksumFiles();
      const follower = await healing.followToEnd();
      const path = ltxPath(scene.replicaPath, image);
      const frame = (await framesOf(healing, image)).get(200);
      // In the middle of random bytes, which are stored as they are.
      flipBit(path, (frame?.offset ?? 0) + 2000);
      healing.remove(...[1, 2, 3].map(single));
      healing.damagePage(200);
      const damaged = readFileSync(scene.output);
      for (let attempt = 0; attempt < 3; attempt++) {
        await expect(follower.step()).rejects.toThrow(/0000000000000001-0000000000000003.ltx/u);
        // No more than the pages and a full image.
        expect(counted.takeBytes()).toBeLessThan(1.3 * imageBytes);
      }
      expect(follower.log).toContainEqual({
        event: "follow.pages-failed",
        fields: expect.objectContaining({
          code: hasChecksumFiles ? "view/corrupt-page" : "replica/proof",
        }),
      });
      expect(readFileSync(scene.output)).toEqual(damaged);
      await scene.publish(1, 3);
      expect(await follower.catchUp()).toBe(3n);
      expect(await endState(scene, follower)).toBe(3);
    },
  );

  it("out of reach: it is tried again, and nothing is taken for damaged", async () => {
    using healing = await sceneWithImage();
    const { scene, counted } = healing;
    const follower = await healing.followToEnd();
    healing.damagePage(200);
    counted.onGet = () => {
      throw new HeadwaterError("store/unavailable", "away");
    };
    await expect(follower.step()).rejects.toMatchObject({ code: "store/unavailable" });
    expect(follower.events).not.toContain("follow.pages-failed");
    counted.onGet = () => undefined;
    expect(await follower.catchUp()).toBe(3n);
    expect(counted.takeBytes()).toBeLessThan(imageBytes / 8);
    expect(await endState(scene, follower)).toBe(3);
  });
});

it("a disk that fails once, at any call of healing, costs nothing", async () => {
  using healing = await sceneWithImage();
  const { scene, counted } = healing;
  const first = await healing.follow();
  await first[Symbol.asyncDispose]();
  healing.damagePage(200);
  const damaged = readFileSync(scene.output);
  const restart = scene.keepOutput();
  for (let failing = 1; ; failing++) {
    restart();
    let [calls, from] = [0, Infinity];
    const fileSystem = createFaultyFileSystem(nodeFileSystem, () =>
      ++calls === from ? "EIO" : undefined,
    );
    const follower = await healing.open({ fileSystem });
    from = calls + failing;
    await follower.catchUp().catch(() => undefined);
    const isOver = calls < from;
    from = Infinity;
    const isWhole = scene.stateOf() === 3 || readFileSync(scene.output).equals(damaged);
    expect(isWhole || existsSync(`${scene.output}-journal`), `call ${failing}`).toBe(true);
    counted.take();
    expect(await follower.catchUp(), `call ${failing}`).toBe(3n);
    expect(counted.takeBytes()).toBeLessThan(imageBytes / 8);
    await follower[Symbol.asyncDispose]();
    expect(scene.stateOf(), `call ${failing}`).toBe(3);
    if (isOver) return expect(failing).toBeGreaterThan(20);
  }
});

/** Rows at the end. */
function grow(rows: number): string {
  return `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
    INSERT INTO t SELECT 1000 + i, randomblob(3500) FROM n`;
}
