// Restores from a real S3 server, which lists when objects arrived and not what their files are stamped.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { HeadwaterError } from "../../core/base/errors.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import { readGoldenSet } from "../../../test/support/golden.ts";
import { createBucket } from "../../../test/support/s3-bucket.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openStore } from "../store/open-store.ts";
import { systemEnvironment } from "./environment.ts";
import { type RestoreOptions, restoreIn } from "./restore.ts";

const s3 = inject("s3");
const bucket = `headwater-restore-${Date.now()}`;
const set = readGoldenSet("daemon-s3-4096");
const replica = `s3://${bucket}/app?endpoint=${s3?.endpoint ?? ""}`;

const real = systemEnvironment();
const environment: typeof real = {
  ...real,
  openReplica: (url, { signal }) =>
    openStore(url, {
      ...real,
      fileSystem: nodeFileSystem,
      signal,
      environment: {
        AWS_ACCESS_KEY_ID: s3?.accessKeyId,
        AWS_SECRET_ACCESS_KEY: s3?.secretAccessKey,
      },
    }),
};

async function restored(point: Partial<RestoreOptions>): Promise<string> {
  using directory = temporaryDirectory();
  const output = join(directory.path, "app.db");
  try {
    await restoreIn(environment, { replica, output, ...point });
  } catch (error) {
    if (error instanceof HeadwaterError) return error.code;
    throw error;
  }
  return createHash("sha256").update(readFileSync(output)).digest("hex");
}

describe.skipIf(s3 === undefined)("restore from S3", () => {
  beforeAll(async () => {
    if (s3 !== undefined) await createBucket(s3, bucket);
    await using store = await environment.openReplica(replica, {});
    for (const { path, timestampMs } of set.files) {
      const key = path.replace(/^objects\/app\/live\.db\//u, "");
      await store.put(key, bodyOf(readFileSync(join(set.path, path))), { timestampMs });
    }
  });

  it("restores what Litestream's manifest records, by TXID", async () => {
    const points = set.restores.filter(({ sha256 }, n) => sha256 !== undefined || n % 20 === 0);
    for (const { txid, sha256 } of points) {
      const found = await restored({ txid });
      expect(`${txid} ${found}`).toBe(`${txid} ${sha256 ?? "replica/unreachable-txid"}`);
    }
  });

  it("restores to times by the headers, though every object was uploaded just now", async () => {
    for (const { timestampMs, sha256 } of set.timestampRestores) {
      if (sha256 === undefined) continue;
      expect(await restored({ timestamp: new Date(timestampMs) })).toBe(sha256);
    }
    expect(await restored({ timestamp: new Date(0) })).toBe("replica/unreachable-time");
  });
});
