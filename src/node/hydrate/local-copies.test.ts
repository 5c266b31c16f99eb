// Copies of a replica: what they hold after each TXID, after failures, and after whatever an earlier process has left.
import {
  appendFileSync,
  copyFileSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type OpenedCopies, openCopies } from "../../../test/support/copies.ts";
import { FollowScene } from "../../../test/support/follow-scene.ts";
import { ltxPath } from "../../../test/support/replica-builder.ts";
import { databaseStates } from "../../../test/support/sqlite-history.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";

let scene: FollowScene;
beforeEach(() => {
  scene = new FollowScene();
});
afterEach(() => scene[Symbol.dispose]());

function open(fileSystem = nodeFileSystem): Promise<OpenedCopies> {
  return openCopies(scene.url, scene.output, { fileSystem });
}

/** The TXID that the newest copy is the exact state of. */
function shown({ copies: { newest } }: OpenedCopies): number | undefined {
  if (newest === undefined) return undefined;
  const txid = scene.stateOf(newest.path);
  if (txid !== Number(newest.txid)) throw new Error(`it says ${newest.txid} and is ${txid}`);
  return txid;
}

describe("copies", () => {
  it.each([512, 4096, 65536])("take turns, in pages of %d bytes", async (pageSize) => {
    scene[Symbol.dispose]();
    scene = new FollowScene(undefined, pageSize);
    await scene.publish(1);
    await using opened = await open();
    const paths: (string | undefined)[] = [];
    for (let txid = 1; txid <= scene.states.length; txid++) {
      if (txid > 1) await scene.publish(txid);
      const before = opened.copies.newest;
      const bytes = before && readFileSync(before.path);
      await opened.to(txid);
      expect(shown(opened)).toBe(txid);
      // Whoever reads the one before sees nothing of it.
      if (before !== undefined)
        expect(readFileSync(before.path).equals(bytes ?? Buffer.of())).toBe(true);
      paths.push(opened.copies.newest?.path);
    }
    const right = `${scene.output}-right`;
    expect(paths).toEqual([scene.output, right, scene.output, right]);
    expect(opened.events).not.toContain("hydrate.rebuilding");
  });

  it("go on where an earlier process ended, by the files after it alone", async () => {
    await scene.publish(1, 2);
    {
      await using opened = await open();
      await opened.to(1);
      await opened.to(2);
    }
    await scene.publish(3);
    rmSync(ltxPath(scene.replicaPath, { level: 0, min: 1, max: 1 }));
    await using opened = await open();
    await opened.to(3);
    expect(shown(opened)).toBe(3);
    expect(opened.events).toEqual(["newest"]);
  });

  it("are believed without a look at their pages while they are as they were left", async () => {
    await scene.publish(1);
    {
      await using opened = await open();
      await opened.to(1);
    }
    const reads: string[] = [];
    const counting = createFaultyFileSystem(nodeFileSystem, ({ name, path }) => {
      if (name === "file.read" && path === scene.output) reads.push(path);
      return undefined;
    });
    {
      await using opened = await open(counting);
      await opened.to(1);
      expect(reads).toHaveLength(1);
    }
    utimesSync(scene.output, 1, 1);
    await using opened = await open(counting);
    await opened.to(1);
    expect(reads.length).toBeGreaterThan(3);
    expect(opened.events).toEqual(["newest"]);
  });

  it("are made anew when a byte of them was changed", async () => {
    await scene.publish(1, 2);
    {
      await using opened = await open();
      await opened.to(2);
    }
    const bytes = readFileSync(scene.output);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    writeFileSync(scene.output, bytes);
    await using opened = await open();
    await opened.to(2);
    expect(shown(opened)).toBe(2);
  });

  it.each([
    ["a database of others", (path: string) => writeFileSync(path, databaseStates(4096)[3] ?? "")],
    ["no database", (path: string) => writeFileSync(path, "something else")],
    ["a part", (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 4096 * 3))],
    ["nothing", (path: string) => rmSync(path)],
    ["too long", (path: string) => appendFileSync(path, new Uint8Array(4096))],
  ])("that became %s are made anew", async (_, spoil) => {
    await scene.publish(1, 2);
    {
      await using opened = await open();
      await opened.to(2);
    }
    spoil(scene.output);
    await using opened = await open();
    await opened.to(2);
    expect(shown(opened)).toBe(2);
  });

  it("of an older state that comes back from a backup are not mixed with the newest", async () => {
    await scene.publish(1, 3);
    {
      await using opened = await open();
      await opened.to(1);
      copyFileSync(scene.output, scene.directory.file("kept"));
      await opened.to(3);
    }
    copyFileSync(scene.directory.file("kept"), scene.output);
    rmSync(`${scene.output}-right`);
    await using opened = await open();
    await opened.to(3);
    expect(shown(opened)).toBe(3);
  });

  it("take what they missed from merged files, and cross a hole by a full image", async () => {
    await scene.publish(1);
    await using opened = await open();
    await opened.to(1);
    await scene.history.writeFiles(scene.replicaPath, [{ level: 1, min: 2, max: 3 }]);
    await opened.to(3);
    expect(shown(opened)).toBe(3);
    expect(opened.events).not.toContain("hydrate.rebuilding");
    await scene.history.writeFiles(scene.replicaPath, [{ level: 9, min: 1, max: 4 }]);
    await opened.to(4);
    expect(shown(opened)).toBe(4);
    expect(opened.events).toContain("hydrate.rebuilding");
  });

  it("stay what they are where no files lead to a TXID", async () => {
    await scene.publish(1);
    await using opened = await open();
    await opened.to(1);
    await scene.history.writeFiles(scene.replicaPath, [{ level: 1, min: 2, max: 4 }]);
    await expect(opened.to(3)).rejects.toMatchObject({ code: "replica/unreachable-txid" });
    expect(shown(opened)).toBe(1);
    await opened.to(4);
    expect(shown(opened)).toBe(4);
  });

  it("of a replica that was begun anew are made anew, whatever TXID it is at", async () => {
    await scene.publish(1, 2);
    {
      await using opened = await open();
      await opened.to(2);
    }
    using other = new FollowScene(databaseStates(4096));
    for (const [published, target] of [
      [2, 2],
      [3, 3],
      [1, 1],
    ] as const) {
      rmSync(scene.replicaPath, { recursive: true });
      await other.history.writeFiles(
        scene.replicaPath,
        Array.from({ length: published }, (_, i) => ({ level: 0, min: i + 1, max: i + 1 })),
      );
      await using opened = await open();
      await opened.to(target);
      expect(other.stateOf(opened.copies.newest?.path)).toBe(target);
    }
  });

  it("are known again after the newest file was merged", async () => {
    await scene.publish(1, 2);
    {
      await using opened = await open();
      await opened.to(2);
    }
    await scene.history.writeFiles(scene.replicaPath, [{ level: 1, min: 1, max: 2 }]);
    for (const txid of [1, 2])
      rmSync(ltxPath(scene.replicaPath, { level: 0, min: txid, max: txid }));
    await using opened = await open();
    await opened.to(2);
    expect(opened.events).toEqual(["newest"]);
  });

  it("get another file where a reader does not let go", async () => {
    await scene.publish(1, 2);
    await using opened = await open();
    await opened.to(1);
    await opened.to(2);
    await scene.publish(3);
    const held = await nodeFileSystem.open(scene.output, "read");
    opened.stuck.add(scene.output);
    await opened.to(3);
    expect(shown(opened)).toBe(3);
    const bytes = new Uint8Array(scene.states[0]?.length ?? 0);
    await held.read(bytes, 0);
    await held.close();
    writeFileSync(scene.directory.file("held"), bytes);
    expect(scene.stateOf(scene.directory.file("held"))).toBe(1);
  });

  it("are never those of a damaged file", async () => {
    await scene.publish(1, 2);
    await using opened = await open();
    await opened.to(1);
    const path = ltxPath(scene.replicaPath, { level: 0, min: 2, max: 2 });
    const bytes = readFileSync(path);
    bytes[500] = (bytes[500] ?? 0) ^ 0xff;
    writeFileSync(path, bytes);
    await expect(opened.to(2)).rejects.toThrow("0000000000000002-0000000000000002.ltx");
    expect(shown(opened)).toBe(1);
    rmSync(path);
    await scene.publish(2);
    await opened.to(2);
    expect(shown(opened)).toBe(2);
  });

  it("survive a disk that is full or fails at any call", async () => {
    await scene.publish(1, 2);
    await using opened = await open();
    await opened.to(1);
    await opened.to(2);
    await opened[Symbol.asyncDispose]();
    const restart = scene.keepOutput();
    await scene.publish(3, 4);
    for (let failing = 1, isDone = false; !isDone; failing++) {
      restart();
      isDone = true;
      const faulty = createFaultyFileSystem(nodeFileSystem, ({ index, name }) => {
        if (index !== failing) return undefined;
        isDone = false;
        return name === "file.read" || name === "file.status" ? "EIO" : "ENOSPC";
      });
      await using again = await open(faulty);
      for (const txid of [3, 4]) {
        await again.to(txid).catch(() => undefined);
        if (again.copies.newest !== undefined) shown(again);
        await again.to(txid);
        expect(shown(again)).toBe(txid);
      }
    }
  });
});
