// `headwater follow`, `restore -f` and `follow` of the library as users meet them.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { follow } from "../../src/index.ts";
import type { FollowStatus } from "../../src/index.ts";
import { startModule } from "../support/children.ts";
import type { Child } from "../support/children.ts";
import { FollowScene } from "../support/follow-scene.ts";
import { headwater } from "../support/headwater.ts";
import { until } from "../support/until.ts";

function records(child: Child): readonly Record<string, unknown>[] {
  return child.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

const txidOf = (n: number): string => n.toString(16).padStart(16, "0");

describe.each([["follow"], ["restore -f"]])("headwater %s", (command) => {
  const run = (scene: FollowScene, ...flags: readonly string[]): Child =>
    headwater([...command.split(" "), scene.url, "-o", scene.output, ...flags]);

  it.each(["SIGTERM", "SIGINT"] as const)(
    "tells each TXID as a line of JSON and ends in order at %s",
    async (signal) => {
      using scene = new FollowScene();
      await scene.publish(1);
      await using child = run(scene, "-json", "-follow-interval", "20ms");
      await child.line((line) => line.includes(txidOf(1)));
      await scene.publish(2, 4);
      await child.line((line) => line.includes(txidOf(4)));
      expect(await child.end(signal)).toEqual({ code: 0, signal: null });
      expect(scene.stateOf()).toBe(4);
      const names = { db_path: scene.output, replica: "file" };
      expect(records(child)[0]).toEqual({
        ...names,
        txid: txidOf(1),
        timestamp: expect.any(String),
        lag_ms: expect.any(Number),
      });
      expect(child.stderr).toMatch(/INFO follow\.applied .*txid=0000000000000004/u);
    },
  );

  it("logs for people, and goes on after a restart", async () => {
    using scene = new FollowScene();
    await scene.publish(1);
    for (const txid of [1, 2]) {
      await scene.publish(txid);
      await using child = run(scene, "-follow-interval=20ms");
      await child.line((line) => line.includes(`txid=${txidOf(txid)}`));
      expect((await child.end()).code).toBe(0);
      expect(child.lines.join("\n")).toContain("INFO follow.started");
    }
    expect(readFileSync(`${scene.output}-txid`, "utf8")).toBe(`${txidOf(2)}\n`);
  });

  it("fails for an empty replica unless that is fine", async () => {
    using scene = new FollowScene();
    await using child = run(scene);
    expect((await child.exited).code).toBe(1);
    expect(child.stderr).toContain("There is no backup here");
    await using other = run(scene, "-if-replica-exists");
    expect((await other.exited).code).toBe(0);
    expect(readdirSync(scene.directory.file("out"))).toEqual([]);
  });
});

describe("flags", () => {
  it.each([
    [["restore", "-f", "-txid", txidOf(1)], /-f follows the newest state/u],
    [["restore", "-f", "-at", "yesterday"], /-f follows the newest state/u],
    [["restore", "-f", "-dry-run"], /cannot be combined with -dry-run/u],
    [["restore", "-follow-interval", "1s"], /-follow-interval needs -f/u],
    [["follow", "-follow-interval", "0"], /must be above 0/u],
    [["follow", "-follow-interval", "soon"], /must be a duration/u],
  ])("%j are refused in words", async (args, message) => {
    using scene = new FollowScene();
    await using child = headwater([...args, scene.url, "-o", scene.output]);
    expect((await child.exited).code).toBe(1);
    expect(child.stderr).toMatch(message);
    expect(existsSync(scene.output)).toBe(false);
  });
});

describe("follow", () => {
  it("keeps a database up to date in a process of its own, and tells of it", async () => {
    using scene = new FollowScene();
    await scene.publish(1);
    const seen: FollowStatus[] = [];
    const options = { output: scene.output, intervalMs: 20 };
    await using following = await follow(scene.url, {
      ...options,
      onStatus: (status) => void seen.push(status),
    });
    expect(following.status()).toMatchObject({ output: scene.output, txid: 1n });
    await scene.publish(2, 3);
    await until(() => seen.at(-1)?.txid === 3n);
    await following[Symbol.asyncDispose]();
    await following.ended();
    expect(scene.stateOf()).toBe(3);
  });

  it("ends with the program that called it", async () => {
    using scene = new FollowScene();
    await scene.publish(1);
    const { url, output } = scene;
    await using parent = startModule(
      fileURLToPath(new URL("../support/follow-parent.ts", import.meta.url)),
      { url, output },
    );
    await parent.line((line) => line === "following");
    await expect(follow(url, { output })).rejects.toMatchObject({ code: "follow/locked" });
    await parent.end("SIGKILL");
    await until(async () => {
      const following = await follow(url, { output }).catch(() => undefined);
      await following?.[Symbol.asyncDispose]();
      return following !== undefined;
    });
  });

  it("throws what keeps it from starting", async () => {
    using scene = new FollowScene();
    const { output } = scene;
    await expect(follow(scene.url, { output })).rejects.toMatchObject({ code: "replica/empty" });
    await expect(follow(scene.url, { output, intervalMs: 0 })).rejects.toMatchObject({
      code: "usage/invalid",
    });
    const aborted = AbortSignal.abort(new Error("enough"));
    await expect(follow(scene.url, { output, signal: aborted })).rejects.toThrow("enough");
  });
});
