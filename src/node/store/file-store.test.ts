import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bodyOf } from "../../core/store/object-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { createPrefixedStore } from "../../core/store/prefixed-store.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { objectStoreCases } from "../../core/testing/object-store-suite.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { createFileStore } from "./file-store.ts";

let directory: string;
beforeEach(async () => {
  directory = await fs.mkdtemp(join(tmpdir(), "headwater-store-"));
});
afterEach(async () => {
  await fs.rm(directory, { recursive: true, force: true });
});

function openStore(fileSystem = nodeFileSystem, path = "replica/app"): ObjectStore {
  const root = join(directory, path);
  return createFileStore({ root, fileSystem, clock: systemClock, random: systemRandom });
}

const some = bodyOf(new Uint8Array(3_000_000).fill(1));

/** Names of the file system calls of a first put. */
async function callsOfPut(condition: "absent" | undefined): Promise<readonly string[]> {
  const calls: string[] = [];
  const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ name }) => {
    calls.push(name);
    return undefined;
  });
  await openStore(fileSystem, `calls-${condition}`).put("0000/a", some, { condition });
  return calls;
}

async function filesBelow(path: string): Promise<string[]> {
  const entries = await fs.readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe("file store", () => {
  test.for(objectStoreCases)("$name", async ({ run }) => {
    await expect(run(async () => openStore())).resolves.toBeUndefined();
    expect((await filesBelow(directory)).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });
});

describe("file store, prefixed", () => {
  test.for(objectStoreCases)("$name", async ({ run }) => {
    await expect(
      run(async () => createPrefixedStore(openStore(), "ltx/")),
    ).resolves.toBeUndefined();
  });
});

describe("file store on a disk", () => {
  test("reads in pieces as small as they are asked for", async () => {
    await using store = openStore();
    await store.put("0000/a", some, {});
    const content = await store.get("0000/a", { chunkBytes: 10_000, offset: 5 });
    const sizes: number[] = [];
    for await (const chunk of content?.body ?? []) sizes.push(chunk.length);
    expect(Math.max(...sizes)).toBe(10_000);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(2_999_995);
  });

  test("closes the file of a body that is given up before its first piece", async () => {
    let open = 0;
    const fileSystem = {
      ...nodeFileSystem,
      open: async (...args: Parameters<typeof nodeFileSystem.open>) => {
        const file = await nodeFileSystem.open(...args);
        open++;
        const close = async (): Promise<void> => {
          open--;
          await file.close();
        };
        return { ...file, close, [Symbol.asyncDispose]: close };
      },
    };
    const store = openStore(fileSystem);
    await store.put("0000/a", some, {});
    for (const steps of [0, 1, 2]) {
      const content = await store.get("0000/a", {});
      const body = content?.body[Symbol.asyncIterator]();
      expect(open).toBe(1);
      for (let step = 0; step < steps; step++) await body?.next();
      await body?.return?.();
      expect(open).toBe(0);
    }
  });

  test("leaves either nothing or a whole object when any single call fails", async () => {
    for (const condition of [undefined, "absent"] as const) {
      const calls = await callsOfPut(condition);
      for (let failAt = 1; failAt <= calls.length; failAt++) {
        const path = `replica-${condition}-${failAt}`;
        const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ index }) =>
          index === failAt ? "EIO" : undefined,
        );
        const store = openStore(fileSystem, path);
        const stored = await store.put("0000/a", some, { condition }).catch(() => undefined);
        const found = await openStore(nodeFileSystem, path).head("0000/a", {});
        expect([undefined, some.sizeBytes]).toContain(found?.sizeBytes);
        expect(stored ?? found).toEqual(found);
      }
    }
  });

  test("syncs the bytes before it publishes them, and the name before it says so", async () => {
    for (const [condition, publish] of [
      [undefined, "rename"],
      ["absent", "link"],
    ] as const) {
      const calls = await callsOfPut(condition);
      expect(calls.lastIndexOf("file.sync")).toBeLessThan(calls.indexOf(publish));
      expect(calls.lastIndexOf("syncDirectory")).toBeGreaterThan(calls.indexOf(publish));
      expect(calls.indexOf("file.setTimes")).toBeLessThan(calls.lastIndexOf("file.sync"));
    }
  });

  test("says that a full disk may be tried again, and works once there is space", async () => {
    let isFull = true;
    const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ name }) =>
      isFull && name === "file.write" ? "ENOSPC" : undefined,
    );
    const store = openStore(fileSystem);
    await expect(store.put("a", some, {})).rejects.toMatchObject({ code: "store/unavailable" });
    isFull = false;
    await store.put("a", some, {});
    expect(await filesBelow(directory)).toEqual(["a"]);
  });

  test("declares no create-only puts where there are no hard links", async () => {
    const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ name }) =>
      name === "link" ? "EPERM" : undefined,
    );
    const store = openStore(fileSystem);
    expect(await store.features({})).toMatchObject({ createOnly: false, copy: false });
    expect(await filesBelow(directory)).toEqual([]);
    await expect(store.put("a", some, { condition: "absent" })).rejects.toMatchObject({
      code: "store/failed",
    });
    await store.put("a", some, {});
  });

  test("makes files and directories with the ownership it was given", async () => {
    const { uid, gid } = await fs.stat(directory);
    const root = join(directory, "replica");
    const options = { root, fileSystem: nodeFileSystem, clock: systemClock, random: systemRandom };
    await createFileStore({ ...options, ownership: { mode: 0o640, uid, gid } }).put(
      "d/a",
      some,
      {},
    );
    await createFileStore(options).put("e/a", some, {});
    const modes = await Promise.all(
      ["d", "d/a", "e", "e/a"].map(async (name) => (await fs.stat(join(root, name))).mode & 0o777),
    );
    expect(modes).toEqual([0o750, 0o640, 0o700, 0o600]);
  });

  test("puts again after the whole directory was removed", async () => {
    const store = openStore();
    await store.put("0000/a", some, {});
    await fs.rm(join(directory, "replica"), { recursive: true });
    await expect(store.put("0000/b", some, {})).rejects.toMatchObject({
      code: "store/unavailable",
    });
    await store.put("0000/b", some, {});
    expect(await filesBelow(directory)).toEqual(["b"]);
  });

  test("removes what dead writers left, and nothing else", async () => {
    await openStore().put("0000/a", some, {});
    const path = join(directory, "replica/app/0000");
    let name = "";
    const spy = createFaultyFileSystem(nodeFileSystem, (call) => {
      if (call.name === "open" && call.path.endsWith(".tmp"))
        name = call.path.split("/").pop() ?? "";
      return undefined;
    });
    await openStore(spy).put("0000/a", some, {});
    const [, , machine = ""] = /^(\.headwater)-([0-9a-f]+)-/.exec(name) ?? [];
    const now = Date.now();
    const day = 24 * 3600 * 1000;
    const hex = "0123456789abcdef";
    const mine = `.headwater-${machine}-${process.pid}-${now}-${hex}.tmp`;
    const dead = `.headwater-${machine}-4194305-${now}-${hex}.tmp`;
    const foreign = `.headwater-aaaaaaaaaaaa-4194305-${now}-${hex}.tmp`;
    const old = `.headwater-aaaaaaaaaaaa-1-${now - 2 * day}-${hex}.tmp`;
    const oldButBusy = `.headwater-aaaaaaaaaaaa-2-${now - 2 * day}-${hex}.tmp`;
    for (const file of [mine, dead, foreign, old, oldButBusy, "other.tmp"]) {
      await fs.writeFile(join(path, file), "");
    }
    await fs.utimes(join(path, old), 1000, 1000);
    await openStore().put("0000/b", some, {});
    expect((await filesBelow(path)).sort()).toEqual(
      ["a", "b", mine, foreign, oldButBusy, "other.tmp"].sort(),
    );
  });

  test("says what is wrong with the place it was given", async () => {
    await fs.writeFile(join(directory, "file"), "");
    const store = openStore(nodeFileSystem, "file");
    await expect(store.put("a", some, {})).rejects.toMatchObject({ code: "store/failed" });
    expect(await store.head("a", {})).toBeUndefined();
    const denied = createFaultyFileSystem(nodeFileSystem, ({ name }) =>
      name === "makeDirectory" || name === "list" ? "EACCES" : undefined,
    );
    await expect(openStore(denied).put("a", some, {})).rejects.toMatchObject({
      code: "store/denied",
    });
    const list = async (): Promise<void> => {
      for await (const _ of openStore(denied).list({ prefix: "" }));
    };
    await expect(list()).rejects.toMatchObject({ code: "store/denied" });
  });
});
