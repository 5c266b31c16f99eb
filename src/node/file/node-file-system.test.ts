import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeFileSystem } from "./node-file-system.ts";

let directory: string;
beforeEach(async () => {
  directory = await fs.mkdtemp(join(tmpdir(), "headwater-fs-"));
});
afterEach(async () => {
  await fs.rm(directory, { recursive: true, force: true });
});

describe("the real file system", () => {
  test("gives back any millisecond that was set as a modification time", async () => {
    await using file = await nodeFileSystem.open(join(directory, "a"), "create");
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 4_102_444_800_000 }), async (timeMs) => {
        await file.setTimes(timeMs);
        expect((await file.status()).mtimeMs).toBe(timeMs);
      }),
      { numRuns: 200 },
    );
  });

  test("answers absence with undefined or false", async () => {
    const missing = join(directory, "missing");
    expect(await nodeFileSystem.status(missing)).toBeUndefined();
    expect(await nodeFileSystem.list(missing)).toBeUndefined();
    expect(await nodeFileSystem.unlink(missing)).toBe(false);
    await expect(nodeFileSystem.open(missing, "read")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(nodeFileSystem.open(missing, "update")).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("creates new files and links only where nothing is", async () => {
    const [a, b] = [join(directory, "a"), join(directory, "b")];
    await (await nodeFileSystem.open(a, "create-new")).close();
    await expect(nodeFileSystem.open(a, "create-new")).rejects.toMatchObject({ code: "EEXIST" });
    expect(await nodeFileSystem.link(a, b)).toBe(true);
    expect(await nodeFileSystem.link(a, b)).toBe(false);
    expect(await nodeFileSystem.list(directory)).toEqual(["a", "b"]);
  });

  test("shows new files to their owner alone until an ownership is set", async () => {
    await nodeFileSystem.makeDirectory(join(directory, "d"));
    await using file = await nodeFileSystem.open(join(directory, "d", "a"), "create");
    expect((await nodeFileSystem.status(join(directory, "d")))?.mode).toBe(0o700);
    const before = await file.status();
    expect(before.mode).toBe(0o600);
    await file.setOwnership({ mode: 0o640, uid: before.uid, gid: before.gid });
    expect((await file.status()).mode).toBe(0o640);
  });

  test("reads and writes at any position", async () => {
    await using file = await nodeFileSystem.open(join(directory, "a"), "create");
    await file.write(new Uint8Array([1, 2, 3, 4]), 0);
    await file.write(new Uint8Array([9]), 2);
    await file.sync();
    const into = new Uint8Array(8);
    expect(await file.read(into, 1)).toBe(3);
    expect([...into.subarray(0, 3)]).toEqual([2, 9, 4]);
    expect(await file.read(into, 4)).toBe(0);
    await file.truncate(1);
    expect((await file.status()).sizeBytes).toBe(1);
  });
});
