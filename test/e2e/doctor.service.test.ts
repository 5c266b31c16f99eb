// `headwater doctor` against a real S3 server.
import { fileURLToPath } from "node:url";
import { S3Client, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { Child } from "../support/children.ts";
import { createBucket } from "../support/s3-bucket.ts";

const s3 = inject("s3");
const bucket = `headwater-doctor-${Date.now()}`;
const program = fileURLToPath(new URL("../../bin/headwater.js", import.meta.url));

interface Diagnosis {
  readonly code: number | null;
  readonly stderr: string;
  /** `name: result` of what is not ok. */
  readonly ills: readonly string[];
  readonly text: string;
}

async function doctor({
  toBucket = bucket,
  secret = s3?.secretAccessKey ?? "",
} = {}): Promise<Diagnosis> {
  const url = `s3://${toBucket}/app?endpoint=${s3?.endpoint}`;
  await using child = new Child(process.execPath, [program, "doctor", "-json", url], {
    env: { AWS_ACCESS_KEY_ID: s3?.accessKeyId ?? "", AWS_SECRET_ACCESS_KEY: secret },
  });
  const { code } = await child.exited;
  const text = child.lines.join("\n");
  const { sections } = JSON.parse(text) as {
    readonly sections: readonly {
      readonly checks: readonly { readonly name: string; readonly result: string }[];
    }[];
  };
  const ills = sections
    .flatMap(({ checks }) => checks)
    .filter(({ result }) => result !== "ok")
    .map(({ name, result }) => `${name}: ${result}`);
  return { code, stderr: child.stderr, ills, text };
}

describe.skipIf(s3 === undefined)("headwater doctor on S3", () => {
  beforeAll(async () => {
    if (s3 !== undefined) await createBucket(s3, bucket);
  });

  test("a store that does everything is in order, and its bucket stays empty", async () => {
    const { code, stderr, ills } = await doctor();
    expect(stderr).toBe("");
    expect(ills).toEqual(["replica: note"]);
    expect(code).toBe(0);
    const { endpoint = "", accessKeyId = "", secretAccessKey = "" } = s3 ?? {};
    const client = new S3Client({
      endpoint,
      credentials: { accessKeyId, secretAccessKey },
      region: "us-east-1",
      forcePathStyle: true,
    });
    const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    client.destroy();
    expect(KeyCount).toBe(0);
  });

  test("wrong credentials are a problem that tells no secret", async () => {
    const { code, ills, text } = await doctor({ secret: "wrong-secret" });
    expect(ills).toEqual(["reachable: problem"]);
    expect(text).toContain("Check the access key");
    expect(text).not.toContain("wrong-secret");
    expect(code).toBe(1);
  });

  test("a missing bucket is a problem that names it", async () => {
    const { code, ills, text } = await doctor({ toBucket: "headwater-no-such-bucket" });
    expect(ills).toEqual(["reachable: problem"]);
    expect(text).toContain("headwater-no-such-bucket");
    expect(text).toContain("Create it, or correct the replica URL");
    expect(code).toBe(1);
  });
});
