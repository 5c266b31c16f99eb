// A replica behind a web server, with its manifest, as users meet it: every command that reads, and those that would write.
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openReplica } from "../../src/index.ts";
import { manifestKey } from "../../src/core/replica/manifest.ts";
import type { ObjectStore } from "../../src/core/store/object-store.ts";
import { openReplicaStore } from "../../src/node/restore/environment.ts";
import type { Child } from "../support/children.ts";
import { FollowScene } from "../support/follow-scene.ts";
import { type GoldenSet, copyGolden } from "../support/golden.ts";
import { headwater } from "../support/headwater.ts";
import { type HttpServer, startHttpServer } from "../support/http-server.ts";
import { sha256OfFile } from "../support/live-image.ts";
import { putManifest } from "../support/manifest.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { until } from "../support/until.ts";

let set: GoldenSet & Disposable;
let url: string;
let objects: ObjectStore;
let server: HttpServer;
beforeAll(async () => {
  set = copyGolden("vacuum-4096");
  url = pathToFileURL(set.path).href;
  objects = await openReplicaStore(url);
  await putManifest(objects);
  // The versions of the server are none of the file system's.
  server = await startHttpServer(objects, { etagOf: (etag) => `w${etag.length}-${etag}` });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await objects[Symbol.asyncDispose]();
  set[Symbol.dispose]();
});

async function run(
  ...args: readonly string[]
): Promise<{ code: number | null; out: string; err: string }> {
  await using child: Child = headwater(args);
  const { code } = await child.exited;
  return { code, out: child.lines.join("\n"), err: child.stderr };
}

describe("a replica behind a web server", () => {
  it("is restored as the directory is", async () => {
    using directory = temporaryDirectory();
    const [ours, theirs] = [directory.file("http.db"), directory.file("file.db")];
    expect(await run("restore", server.url, "-o", ours)).toMatchObject({ code: 0 });
    expect(await run("restore", url, "-o", theirs)).toMatchObject({ code: 0 });
    expect(await sha256OfFile(ours)).toBe(await sha256OfFile(theirs));
  });

  it.each([
    [["ltx", "-json"]],
    [["timeline", "--json"]],
    [["query", "--json"], ["SELECT count(*) AS n FROM sqlite_schema"]],
  ])("%j prints what it prints of the directory", async (before, after: readonly string[] = []) => {
    const ours = await run(...before, server.url, ...after);
    expect(ours).toMatchObject({ code: 0 });
    const theirs = await run(...before, url, ...after);
    expect(JSON.parse(ours.out.replace('"replica": "http"', '"replica": "file"'))).toEqual(
      JSON.parse(theirs.out),
    );
  });

  it("is examined without an attempt to write", async () => {
    const { code, out } = await run("doctor", server.url);
    expect(out).toContain("newest-file");
    expect(out).not.toContain("left-over");
    expect(code).toBe(0);
  });

  it("is verified", async () => {
    expect(await run("verify", server.url)).toMatchObject({ code: 0 });
  });

  it("is opened in a program, and tells who would write", async () => {
    await using db = await openReplica(server.url);
    const found = await Array.fromAsync(db.query("PRAGMA page_count"));
    expect(found).toEqual([{ page_count: set.files.at(-1)?.commit }]);
    const writing = Array.fromAsync(db.query("CREATE TABLE nowhere (x)"));
    await expect(writing).rejects.toMatchObject({ code: "query/read-only" });
  });

  it("is refused as a place to replicate to, at the start and in plain words", async () => {
    using directory = temporaryDirectory();
    const { code, err } = await run("replicate", directory.file("app.db"), server.url);
    expect(code).toBe(1);
    expect(err).toContain("can only be read: HTTP cannot write");
    expect(existsSync(directory.file(".app.db-headwater"))).toBe(false);
  });

  it("needs its manifest", async () => {
    server.fault = ({ key }) => (key === manifestKey ? { kind: "status", status: 404 } : undefined);
    try {
      const { code, err } = await run("query", server.url, "SELECT 1");
      expect(code).toBe(1);
      expect(err).toContain("manifest.json");
      expect(err).toContain("manifest: true");
    } finally {
      server.fault = () => undefined;
    }
  });
});

describe("headwater follow", () => {
  it("follows a replica behind a web server by its manifest", async () => {
    using scene = new FollowScene();
    await scene.publish(1);
    await using store = await openReplicaStore(scene.url);
    await putManifest(store);
    await using web = await startHttpServer(store, { etagOf: (etag) => `x-${etag}` });
    await using child = headwater([
      "follow",
      web.url,
      "-o",
      scene.output,
      "-follow-interval",
      "20ms",
    ]);
    for (const txid of [1, 2, 3]) {
      await scene.publish(txid, txid);
      await putManifest(store);
      await child.line((line) => line.includes(`txid=${txid.toString(16).padStart(16, "0")}`));
    }
    // It goes on asking although there is nothing new.
    await until(() =>
      web.requests.some(({ key, status }) => key === manifestKey && status === 304),
    );
    expect(await child.end("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(scene.stateOf()).toBe(3);
    const statuses = web.requests.map(({ method, key, status }) => `${method} ${status} ${key}`);
    expect(statuses.every((line) => !line.includes(" 500 "))).toBe(true);
  });
});
