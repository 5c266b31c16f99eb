import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HeadwaterError } from "../../core/base/errors.ts";
import { secretsOf, toS3Settings } from "./s3-settings.ts";
import type { S3Settings } from "./s3-settings.ts";
import { formatTimestamp, parseTimestamp } from "./s3-time.ts";

function settings(url: string, environment = {}): S3Settings {
  return toS3Settings(url, environment);
}

describe("S3 URL", () => {
  test("of a plain bucket is AWS, with everything else left to it", () => {
    expect(settings("s3://bucket/some/path")).toMatchObject({
      bucket: "bucket",
      keyPrefix: "some/path/",
      endpoint: undefined,
      region: undefined,
      forcePathStyle: false,
      signPayload: true,
      requireContentMd5: true,
      skipVerify: false,
    });
  });

  test.for([
    ["s3://bucket", "/"],
    ["s3://bucket/", "/"],
    ["s3://bucket//a//b/./c/../d/", "a/b/d/"],
    ["s3://bucket/a%20b/%C3%A9", "a b/é/"],
  ] as const)("keys of %s begin with %s", ([url, keyPrefix]) => {
    expect(settings(url).keyPrefix).toBe(keyPrefix);
  });

  test.for([
    ["s3://b.s3.amazonaws.com/p", { bucket: "b", endpoint: undefined, region: undefined }],
    [
      "s3://my.b.s3.eu-west-1.amazonaws.com/p",
      { bucket: "my.b", region: "eu-west-1", endpoint: undefined },
    ],
    ["s3://b.s3-us-west-2.amazonaws.com/p", { bucket: "b", region: "us-west-2" }],
    [
      "s3://b.fra1.digitaloceanspaces.com/p",
      {
        bucket: "b",
        region: "fra1",
        endpoint: "https://fra1.digitaloceanspaces.com",
        forcePathStyle: false,
      },
    ],
    [
      "s3://b.s3.us-west-004.backblazeb2.com/p",
      {
        bucket: "b",
        region: "us-west-004",
        endpoint: "https://s3.us-west-004.backblazeb2.com",
        forcePathStyle: true,
      },
    ],
    [
      "s3://b.s3.filebase.com/p",
      {
        bucket: "b",
        region: "us-east-1",
        endpoint: "https://s3.filebase.com",
        forcePathStyle: true,
      },
    ],
    [
      "s3://b.s3.fr-par.scw.cloud/p",
      { bucket: "b", region: "fr-par", endpoint: "https://s3.fr-par.scw.cloud" },
    ],
    [
      "s3://b.localhost:9000/p",
      { bucket: "b", region: "us-east-1", endpoint: "http://localhost:9000", forcePathStyle: true },
    ],
    [
      "s3://arn:aws:s3:us-east-2:123456789012:accesspoint/my-point/a/b",
      {
        bucket: "arn:aws:s3:us-east-2:123456789012:accesspoint/my-point",
        region: "us-east-2",
        keyPrefix: "a/b/",
      },
    ],
    [
      "s3://b/p?endpoint=play.example.org",
      { endpoint: "https://play.example.org", region: "us-east-1", forcePathStyle: true },
    ],
    ["s3://b/p?endpoint=192.168.1.5:9000", { endpoint: "http://192.168.1.5:9000" }],
    ["s3://b/p?endpoint=http://minio:9000/", { endpoint: "http://minio:9000" }],
    ["s3://b/p?endpoint=x.r2.cloudflarestorage.com", { region: "auto", concurrency: 2 }],
    [
      "s3://b/p?endpoint=t3.storage.dev",
      {
        region: "auto",
        requireContentMd5: false,
        provider: { headers: { "x-tigris-consistent": "true" } },
      },
    ],
    ["s3://b/p?endpoint=t3.storage.dev.evil.org", { region: "us-east-1", requireContentMd5: true }],
    [
      "s3://b/p?endpoint=s3.example.org&force-path-style=false&region=x",
      { forcePathStyle: false, region: "x" },
    ],
  ] as const)("%s is understood", ([url, expected]) => {
    expect(settings(url)).toMatchObject(expected);
  });

  test("takes its parameters in both spellings", () => {
    const key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    const camel = `signPayload=no&requireContentMD5=f&skipVerify=1&storageClass=STANDARD_IA&partSize=6000000&concurrency=7&sseCustomerAlgorithm=AES256&sseCustomerKey=${key}&sseCustomerKeyMD5=x`;
    const hyphens = `sign-payload=false&require-content-md5=0&skip-verify=yes&storage-class=STANDARD_IA&part-size=6000000&concurrency=7&sse-customer-algorithm=AES256&sse-customer-key=${key}&sse-customer-key-md5=x`;
    expect(settings(`s3://b/p?${camel}`)).toEqual(settings(`s3://b/p?${hyphens}`));
    expect(settings(`s3://b/p?${camel}`)).toMatchObject({
      signPayload: false,
      requireContentMd5: false,
      skipVerify: true,
      storageClass: "STANDARD_IA",
      partSizeBytes: 6_000_000,
      concurrency: 7,
      sse: { kind: "customer", key, keyMd5: "x" },
    });
    expect(settings("s3://b/p?sseKmsKeyId=k").sse).toEqual({ kind: "kms", keyId: "k" });
  });

  test("takes credentials and endpoint from the environment, Litestream's names first", () => {
    const aws = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b", AWS_SESSION_TOKEN: "c" };
    const litestream = { LITESTREAM_ACCESS_KEY_ID: "d", LITESTREAM_SECRET_ACCESS_KEY: "e" };
    expect(settings("s3://b/p", aws).credentials).toEqual({
      accessKeyId: "a",
      secretAccessKey: "b",
      sessionToken: "c",
    });
    expect(settings("s3://b/p", { ...aws, ...litestream }).credentials).toEqual({
      accessKeyId: "d",
      secretAccessKey: "e",
    });
    expect(settings("s3://b/p", { AWS_ACCESS_KEY_ID: "half" }).credentials).toBeUndefined();
    const environment = { LITESTREAM_S3_ENDPOINT: "localhost:9000" };
    expect(settings("s3://b/p", environment).endpoint).toBe("http://localhost:9000");
    const sdk = {
      AWS_ENDPOINT_URL: "http://localhost:1",
      AWS_ENDPOINT_URL_S3: "http://localhost:2",
    };
    expect(settings("s3://b/p", sdk).endpoint).toBe("http://localhost:2");
    expect(settings("s3://b/p?endpoint=other.org", environment).endpoint).toBe("https://other.org");
  });

  test.for([
    ["s3://b/p?part_size=1", "part-size"],
    ["s3://b/p?forcePathStile=1", "force-path-style"],
    ["s3://b/p?frobnicate=1", "Known are"],
    ["s3://b/p?part-size=5MB", "part-size"],
    ["s3://b/p?part-size=1000000", "5242880"],
    ["s3://b/p?concurrency=0", "concurrency"],
    ["s3://b/p?sign-payload=maybe", "sign-payload"],
    ["s3://b/p?sse-customer-key=c2hvcnQ=", "32 bytes"],
    ["s3://b/p?sse-customer-algorithm=AES256", "sse-customer-key"],
    ["s3://b/p?sse-customer-algorithm=ROT13", "AES256"],
    ["s3://b/p?sse-kms-key-id=k&sse-customer-key=c2hvcnQ=", "exclude"],
    [
      "s3://b/p?endpoint=http://example.org&sse-customer-key=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
      "https",
    ],
    ["s3://b/p?endpoint=https://u:p@example.org", "endpoint"],
    ["s3://key:secret@b/p", "AWS_ACCESS_KEY_ID"],
    ["s3:///p", "bucket"],
    ["s3://localhost:9000/p", "endpoint=localhost:9000"],
    ["s3://b/%zz", "hexadecimal"],
    ["s3:b", "s3://"],
  ] as const)("%s is refused, naming %s", ([url, hint]) => {
    expect(() => settings(url)).toThrow(hint);
    expect(() => settings(url)).toThrow(HeadwaterError);
  });

  test("knows its secrets, and shows none in a refusal", () => {
    const key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    const environment = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "hush" };
    expect(secretsOf(settings(`s3://b/p?sse-customer-key=${key}`, environment))).toEqual([
      "hush",
      key,
    ]);
    for (const url of [
      "s3://k:hush@b/p",
      "s3://b/p?sse-customer-key=hush",
      "s3://b/p?region=x&huhs=hush",
    ]) {
      expect(() => settings(url)).toThrow(expect.not.stringContaining("hush"));
    }
  });
});

describe("the time in an object's metadata", () => {
  test("is written as Go writes it", () => {
    expect(formatTimestamp(1_732_233_600_120)).toBe("2024-11-22T00:00:00.12Z");
    expect(formatTimestamp(1_732_233_600_000)).toBe("2024-11-22T00:00:00Z");
    expect(formatTimestamp(1_732_233_610_001)).toBe("2024-11-22T00:00:10.001Z");
  });

  test("comes back to the millisecond, and from nanoseconds rounded down", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (timeMs) => {
        expect(parseTimestamp(formatTimestamp(timeMs))).toBe(timeMs);
      }),
    );
    expect(parseTimestamp("2024-11-22T00:00:00.123999999Z")).toBe(1_732_233_600_123);
    expect(parseTimestamp("2024-11-22T02:00:00+02:00")).toBe(1_732_233_600_000);
    expect(parseTimestamp("yesterday")).toBeUndefined();
    expect(parseTimestamp(undefined)).toBeUndefined();
  });
});

describe("secrets that are given", () => {
  const key = Buffer.alloc(32, 7).toString("base64");

  test("come before those of the environment and of the URL, and are hidden like them", () => {
    const given = { accessKeyId: "id", secretAccessKey: "given-secret", sseCustomerKey: key };
    const made = toS3Settings(
      "s3://bucket/path?sse-customer-key=x",
      { LITESTREAM_ACCESS_KEY_ID: "other", LITESTREAM_SECRET_ACCESS_KEY: "other-secret" },
      given,
    );
    expect(made.credentials).toEqual({ accessKeyId: "id", secretAccessKey: "given-secret" });
    expect(made.sse).toEqual({ kind: "customer", key, keyMd5: undefined });
    expect(secretsOf(made)).toEqual(["given-secret", key]);
  });

  test("half a pair does not count", () => {
    const environment = { AWS_ACCESS_KEY_ID: "env", AWS_SECRET_ACCESS_KEY: "env-secret" };
    const made = toS3Settings("s3://bucket/path", environment, { accessKeyId: "id" });
    expect(made.credentials).toEqual({ accessKeyId: "env", secretAccessKey: "env-secret" });
  });
});
