// The main job on a real S3 server, through the command line: replicate a database under load, restore it exactly, and
// be told in plain words what is wrong with an address or an account.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { Child } from "../support/children.ts";
import { checkLedger } from "../support/check-ledger.ts";
import { liveImage, sha256OfFile } from "../support/live-image.ts";
import { pauseLoad, startLoad } from "../support/load.ts";
import { createBucket } from "../support/s3-bucket.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const s3 = inject("s3");
const bucket = `headwater-e2e-${Date.now()}`;
const program = fileURLToPath(new URL("../../bin/headwater.js", import.meta.url));

function url(path: string, { toBucket = bucket, endpoint = s3?.endpoint ?? "" } = {}): string {
  return `s3://${toBucket}/${path}?endpoint=${endpoint}`;
}

function headwater(args: readonly string[], secret = s3?.secretAccessKey ?? ""): Child {
  return new Child(process.execPath, [program, ...args], {
    env: { AWS_ACCESS_KEY_ID: s3?.accessKeyId ?? "", AWS_SECRET_ACCESS_KEY: secret },
  });
}

describe.skipIf(s3 === undefined)("on S3", () => {
  beforeAll(async () => {
    if (s3 !== undefined) await createBucket(s3, bucket);
  });

  test("a configuration file brings its own credentials, which are written down nowhere", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    await startLoad({ path, seed: 5, transactions: 20, end: "close" }).success();
    const config = directory.file("litestream.yml");
    writeFileSync(
      config,
      `access-key-id: ${s3?.accessKeyId}\nsecret-access-key: $THE_SECRET\nendpoint: ${s3?.endpoint}\n` +
        `dbs:\n  - path: ${path}\n    replica: {type: s3, bucket: ${bucket}, path: from/config}\n`,
    );
    const secret = s3?.secretAccessKey ?? "";
    const run = (...args: readonly string[]): Child =>
      new Child(process.execPath, [program, ...args, "-config", config], {
        env: { AWS_ACCESS_KEY_ID: "wrong", AWS_SECRET_ACCESS_KEY: "wrong", THE_SECRET: secret },
      });
    const logs = await run("replicate", "-once", "-log-level", "debug").success();
    await run("restore", path, "-o", directory.file("restored.db")).success();
    expect(await sha256OfFile(directory.file("restored.db"))).toBe((await liveImage(path)).sha256);
    const state = directory.file(".app.db-headwater");
    const written = readdirSync(state, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"));
    expect(written.length).toBeGreaterThan(2);
    expect([...logs, ...written].filter((text) => text.includes(secret))).toEqual([]);
  });

  test("a database under load is replicated and restored byte for byte, also after a restart", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    await using load = startLoad({ path, seed: 11, commitsPerSecond: 200, pagesPerCommit: 3 });
    await load.line((line) => line.startsWith("committed "));
    for (let run = 0; run < 2; run++) {
      await using engine = headwater([
        "replicate",
        path,
        url("app"),
        "--sync-interval",
        "100ms",
        "--log-level",
        "debug",
      ]);
      await engine.line((line) => line.includes("database.replicating"));
      await engine.line((line) => line.includes("ltx.uploaded level=0"));
      expect((await engine.end("SIGTERM")).code).toBe(0);
    }
    const seq = await pauseLoad(load);
    const image = await liveImage(path);
    await headwater(["replicate", path, url("app"), "-once"]).success();
    const output = directory.file("copy.db");
    await headwater(["restore", url("app"), "-o", output]).success();
    expect(await sha256OfFile(output)).toBe(image.sha256);
    expect(checkLedger(output).seq).toBe(seq);
    const verified = await headwater(["verify", url("app")]).success();
    expect(verified.join("\n")).toContain("proved");
  });

  test("a replica on S3 and one in a directory hold the same history, also through kills", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    const replicas = [url("both"), directory.url("both")];
    await using load = startLoad({ path, seed: 12, commitsPerSecond: 100, pagesPerCommit: 3 });
    await load.line((line) => line.startsWith("committed "));
    for (let run = 0; run < 3; run++) {
      const interval = ["--sync-interval", "50ms", "--log-level", "debug"];
      await using engine = headwater(["replicate", path, ...replicas, ...interval]);
      for (const [puts, replica] of [...replicas, ...replicas].entries()) {
        const from = puts < replicas.length ? 0 : engine.lines.length;
        await engine.line((line) => line.includes("ltx.uploaded") && line.includes(replica), from);
      }
      await engine.end("SIGKILL");
    }
    const seq = await pauseLoad(load);
    const image = await liveImage(path);
    await headwater(["replicate", path, ...replicas, "-once"]).success();
    for (const [index, replica] of replicas.entries()) {
      const output = directory.file(`copy-${index}.db`);
      await headwater(["restore", replica, "-o", output]).success();
      expect(await sha256OfFile(output)).toBe(image.sha256);
      expect(checkLedger(output).seq).toBe(seq);
      const verified = await headwater(["verify", replica]).success();
      expect(verified.join("\n")).toContain("proved");
    }
  });

  test.each([
    ["wrong credentials", url("x"), "wrong-secret", /Check the access key/u],
    [
      "a missing bucket",
      url("x", { toBucket: "headwater-no-such-bucket" }),
      undefined,
      /headwater-no-such-bucket/u,
    ],
    [
      "an unreachable endpoint",
      url("x", { endpoint: "http://127.0.0.1:9" }),
      undefined,
      /127\.0\.0\.1/u,
    ],
  ])("%s: replicate -once says so and exits with 1", async (_name, replica, secret, message) => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    await using load = startLoad({ path, seed: 1, transactions: 5 });
    await load.success();
    await using engine = headwater(["replicate", path, replica, "-once"], secret);
    const { code } = await engine.exited;
    expect(code).toBe(1);
    expect(engine.stderr).toMatch(/^Error: /u);
    expect(engine.stderr).toMatch(message);
    expect(engine.stderr).not.toContain("wrong-secret");
  });
});
