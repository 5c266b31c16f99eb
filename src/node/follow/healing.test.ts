// Healing an output by fetching the pages that differ and no others.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { CountedGet } from "../../../test/support/counted-store.ts";
import { endState } from "../../../test/support/followed.ts";
import {
  type HealingScene,
  flipBit,
  image,
  imageBytes,
  sceneWithImage,
  single,
  update,
} from "../../../test/support/healing-scene.ts";
import { type FileRange, ltxPath } from "../../../test/support/replica-builder.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { openCodec } from "../../core/codec/codec.ts";
import { readFileIndex } from "../../core/view/file-index.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import { litestreamLayout } from "../../core/replica/layout.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { systemEnvironment } from "../restore/environment.ts";

const codec = openCodec();
const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);

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
  const { index } = await readFileIndex(store, file, { codec, pageSize: scene.pageSize });
  return new Map(
    [...index].map(({ pgno, offset, sizeBytes }) => [pgno, { offset, length: sizeBytes }]),
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
    // What page 1 was is lost with the rest; it comes with the header of its file.
    expect(gets.map(rangeOf)).toEqual([frames.get(200)]);
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

it(`a disk that fails once, at some call of healing, costs nothing (HEADWATER_SEED=${seed})`, async () => {
  using healing = await sceneWithImage();
  const { scene, counted } = healing;
  const first = await healing.follow();
  await first[Symbol.asyncDispose]();
  healing.damagePage(200);
  const damaged = readFileSync(scene.output);
  const restart = scene.keepOutput();
  // A different part of the calls each time.
  for (let failing = 1 + (seed % 3); ; failing += 3) {
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
