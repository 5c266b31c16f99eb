// What servers other than Ceph say, and what is sent to them.
import { createHash } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../core/base/log.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { createRetryingStore } from "../../core/store/retrying-store.ts";
import { createSeededRandom } from "../../core/testing/seeded-random.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { errorAnswer, startS3Stub, startTinyS3 } from "../../../test/support/s3-stub.ts";
import type { S3Stub, StubAnswer } from "../../../test/support/s3-stub.ts";
import { systemRandom } from "../base/clock.ts";
import { connectS3 } from "./s3-client.ts";
import { toS3Settings } from "./s3-settings.ts";
import { createS3Store } from "./s3-store.ts";

const clock = new VirtualClock({ isEager: true });
const environment = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "hush-hush-hush" };
const cleanUps: AsyncDisposable[] = [];

afterEach(async () => {
  for (const item of cleanUps.splice(0)) await item[Symbol.asyncDispose]();
});

function openStore({ endpoint }: S3Stub, parameters = ""): ObjectStore {
  const store = createS3Store({
    url: `s3://bucket/app?endpoint=${endpoint}${parameters}`,
    environment,
    clock,
    random: systemRandom,
    logger: silentLogger,
  });
  cleanUps.push(store);
  return store;
}

function retrying(store: ObjectStore): ObjectStore {
  const random = createSeededRandom(1);
  return createRetryingStore(store, { clock, random, logger: silentLogger, attempts: 6 });
}

async function start(stub: Promise<S3Stub>): Promise<S3Stub> {
  const started = await stub;
  cleanUps.push(started);
  return started;
}

const text = (value: string): ReturnType<typeof bodyOf> => bodyOf(new TextEncoder().encode(value));
const isProbe = (path: string): boolean => path.includes("headwater-probe");

function page(keys: readonly string[], next?: string): StubAnswer {
  const token = next === undefined ? "" : `<NextContinuationToken>${next}</NextContinuationToken>`;
  const contents = keys.map(
    (key) => `<Contents><Key>${key}</Key><Size>1</Size><ETag>&quot;e&quot;</ETag></Contents>`,
  );
  const isTruncated = `<IsTruncated>${next !== undefined}</IsTruncated>`;
  return {
    status: 200,
    body: `<ListBucketResult>${isTruncated}${token}${contents.join("")}</ListBucketResult>`,
  };
}

/** Each key with its ETag. */
async function keysOf(stub: S3Stub, after?: string): Promise<readonly string[]> {
  const keys = [];
  for await (const { key, etag } of openStore(stub).list({ prefix: "", after }))
    keys.push(key + etag);
  return keys;
}

function upload(id: string, initiated: string): string {
  return `<Upload><Key>app/${id}</Key><UploadId>${id}</UploadId><Initiated>${initiated}</Initiated></Upload>`;
}

/** The region that a client of AWS itself would use for the bucket. */
async function lookUp(stub: S3Stub, environmentRegion?: string): Promise<string> {
  const url = `s3://bucket/app?endpoint=${stub.endpoint}`;
  const client = await connectS3(
    { ...toS3Settings(url, environment), region: undefined },
    {
      environment: { AWS_REGION: environmentRegion },
      timeouts: { connectTimeoutMs: 1000, idleTimeoutMs: 1000 },
    },
  );
  const region = await client.config.region();
  client.destroy();
  return region;
}

describe("conditions", () => {
  test("of a server that keeps them are used, with quoted ETags", async () => {
    const stub = await start(startTinyS3(() => undefined));
    const store = openStore(stub);
    expect(await store.features({})).toMatchObject({ createOnly: true, replaceIfUnchanged: true });
    const asked = stub.requests.length;
    await store.features({});
    const { etag } = await store.put("a", text("one"), { condition: "absent" });
    await store.put("a", text("three"), { condition: { etag } });
    expect(stub.requests.length - asked).toBe(2);
    expect(stub.requests.at(-1)?.headers["if-match"]).toBe(`"${etag}"`);
    expect(stub.requests.filter(({ method }) => method === "DELETE")).toHaveLength(1);
  });

  test("of a server that ignores them are never relied upon", async () => {
    const stub = await start(
      startTinyS3(({ method, path, body }, objects) => {
        if (method !== "PUT") return undefined;
        objects.set(path, body);
        return { status: 200, headers: { etag: `"${body.toString("hex").slice(0, 32)}"` } };
      }),
    );
    const store = openStore(stub);
    expect(await store.features({})).toMatchObject({
      createOnly: false,
      replaceIfUnchanged: false,
    });
    const sent = stub.requests.length;
    for (const condition of ["absent", { etag: "x" }] as const) {
      const put = store.put("a", text("x"), { condition });
      await expect(put).rejects.toMatchObject({ code: "store/failed" });
    }
    expect(stub.requests).toHaveLength(sent);
    await store.put("a", text("x"), {});
  });

  test("of a server that does not know them are not used either", async () => {
    const stub = await start(
      startTinyS3(({ headers }) =>
        headers["if-none-match"] === undefined && headers["if-match"] === undefined
          ? undefined
          : errorAnswer(501, "NotImplemented"),
      ),
    );
    expect(await openStore(stub).features({})).toMatchObject({
      createOnly: false,
      replaceIfUnchanged: false,
    });
  });

  test("are not judged from a server that is overloaded", async () => {
    let isOverloaded = true;
    const stub = await start(
      startTinyS3(({ method }) =>
        isOverloaded && method === "PUT" ? errorAnswer(503, "SlowDown") : undefined,
      ),
    );
    const store = openStore(stub);
    await expect(store.features({})).rejects.toMatchObject({ code: "store/unavailable" });
    isOverloaded = false;
    expect(await store.features({})).toMatchObject({ createOnly: true });
  });

  test("that end in a conflict are decided by what the store then holds", async () => {
    let conflicts = 0;
    let winner: string | undefined;
    const stub = await start(
      startTinyS3(({ method, path }, objects) => {
        if (method !== "PUT" || isProbe(path) || conflicts-- <= 0) return undefined;
        if (winner !== undefined) objects.set(path, Buffer.from(winner));
        return errorAnswer(409, "ConditionalRequestConflict");
      }),
    );
    const store = openStore(stub);
    const put = (key: string): Promise<unknown> =>
      store.put(key, text("mine"), { condition: "absent" });
    [conflicts, winner] = [1, "theirs"];
    await expect(put("a")).rejects.toMatchObject({ code: "store/exists" });
    [conflicts, winner] = [1, "mine"];
    await expect(put("b")).resolves.toMatchObject({ sizeBytes: 4 });
    [conflicts, winner] = [1, undefined];
    await expect(put("c")).rejects.toMatchObject({ code: "store/unavailable" });
    conflicts = 3;
    await expect(
      retrying(store).put("d", text("mine"), { condition: "absent" }),
    ).resolves.toMatchObject({ sizeBytes: 4 });
  });
});

describe("trouble", () => {
  test.for([
    [503, "SlowDown", "store/unavailable"],
    [429, "TooManyRequests", "store/unavailable"],
    [408, "RequestCanceled", "store/unavailable"],
    [400, "RequestTimeout", "store/unavailable"],
    [500, "InternalError", "store/unavailable"],
    [403, "AccessDenied", "store/denied"],
    [403, "RequestTimeTooSkewed", "store/unavailable"],
    [403, "InvalidAccessKeyId", "store/denied"],
    [404, "NoSuchBucket", "store/missing-bucket"],
    [400, "InvalidStorageClass", "store/failed"],
    [501, "NotImplemented", "store/failed"],
  ] as const)("HTTP %i %s is %s", async ([status, name, code]) => {
    const stub = await start(startS3Stub(() => errorAnswer(status, name)));
    const store = openStore(stub);
    const error = await store.put("a", text("x"), {}).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code, data: { status, name } });
    expect(String(error)).toContain("a in s3://bucket/app");
    expect(stub.requests).toHaveLength(1);
  });

  test("that passes is waited out, with growing pauses", async () => {
    let failures = 5;
    const stub = await start(
      startTinyS3(() => (failures-- > 0 ? errorAnswer(503, "SlowDown") : undefined)),
    );
    const before = clock.monotonicMs();
    await retrying(openStore(stub)).put("a", text("x"), {});
    expect(clock.monotonicMs() - before).toBeGreaterThan((250 + 500 + 1000 + 2000 + 4000) / 2);
  });

  test("hides the secret even where the server repeats it", async () => {
    const secret = environment.AWS_SECRET_ACCESS_KEY;
    const body = `<Error><Code>Odd</Code><Message>you sent ${secret}</Message></Error>`;
    const stub = await start(startS3Stub(() => ({ status: 400, body })));
    const error = await openStore(stub)
      .put("a", text("x"), {})
      .catch((cause: unknown) => cause);
    expect(String(error)).toContain("you sent ***");
    expect(String(Reflect.get(Object(error), "cause"))).not.toContain(secret);
  });

  test("of single keys fails a delete of many", async () => {
    const body = `<DeleteResult><Error><Key>app/b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>`;
    const stub = await start(startS3Stub(() => ({ status: 200, body })));
    await expect(openStore(stub).delete(["a", "b"], {})).rejects.toMatchObject({
      code: "store/denied",
      message: expect.stringContaining("b"),
    });
  });

  test("an answer without an ETag is no success", async () => {
    const stub = await start(startS3Stub(() => ({ status: 200 })));
    await expect(openStore(stub).put("a", text("x"), {})).rejects.toMatchObject({
      code: "store/unavailable",
    });
  });

  test("a range that is answered with the whole object is not taken for the range", async () => {
    const stub = await start(startTinyS3(() => undefined));
    const store = openStore(stub);
    await store.put("a", text("0123456789"), {});
    await expect(store.get("a", { offset: 3, length: 2 })).rejects.toMatchObject({
      code: "store/failed",
    });
  });
});

describe("listing", () => {
  test("goes on from page to page, past what is no object of ours", async () => {
    const pages = new Map([
      [null, page(["app/", "app/a", "app/b%2F", "app/b%2Bc+d"], "two")],
      ["two", page(["app/e%20f"])],
    ]);
    const stub = await start(
      startS3Stub(
        ({ query }) => pages.get(query.get("continuation-token")) ?? errorAnswer(400, "X"),
      ),
    );
    expect(await keysOf(stub)).toEqual(["ae", "b+c de", "e fe"]);
  });

  test("starts after the key even where the server does not know how", async () => {
    const stub = await start(startS3Stub(() => page(["app/a", "app/b", "app/c"])));
    expect(await keysOf(stub, "b")).toEqual(["ce"]);
    expect(stub.requests[0]?.query.get("start-after")).toBe("app/b");
  });

  test("without order, or without a way to go on, is an error and not a short list", async () => {
    const disordered = await start(startS3Stub(() => page(["app/b", "app/a"])));
    await expect(keysOf(disordered)).rejects.toMatchObject({ code: "store/failed" });
    const lost = await start(
      startS3Stub(() => ({
        status: 200,
        body: "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
      })),
    );
    await expect(keysOf(lost)).rejects.toMatchObject({ code: "store/failed" });
  });
});

describe("the region of a bucket on AWS", () => {
  test.for([200, 301, 403])("is asked for, and told with status %i", async (status) => {
    const headers = { "x-amz-bucket-region": "eu-central-1" };
    const stub = await start(startS3Stub(() => ({ status, headers })));
    expect(await lookUp(stub)).toBe("eu-central-1");
    expect(stub.requests).toHaveLength(1);
  });

  test("is the environment's where nobody may know", async () => {
    const stub = await start(startS3Stub(() => ({ status: 403 })));
    expect(await lookUp(stub, "ap-south-1")).toBe("ap-south-1");
  });

  test("of a missing bucket is an error", async () => {
    const stub = await start(startS3Stub(() => ({ status: 404 })));
    await expect(lookUp(stub)).rejects.toMatchObject({ name: "NotFound" });
  });
});

describe("requests", () => {
  test("carry a signed hash, an exact length, our name, and none of the checksums others refuse", async () => {
    const stub = await start(startTinyS3(() => undefined));
    await openStore(stub).put("a b+c", text("hello"), { timestampMs: 1_732_233_600_120 });
    const { headers, path } = stub.requests[0] ?? { headers: {}, path: "" };
    expect(path).toBe("/bucket/app/a b+c");
    expect(headers).toMatchObject({
      "content-length": "5",
      "x-amz-content-sha256": createHash("sha256").update("hello").digest("hex"),
      "x-amz-meta-litestream-timestamp": "2024-11-22T00:00:00.12Z",
      "user-agent": expect.stringContaining("headwater"),
    });
    const names = Object.keys(headers).join(" ");
    expect(names).not.toMatch(
      /x-amz-checksum|x-amz-trailer|transfer-encoding|expect|accept-encoding/,
    );
  });

  test("carry what the URL asks for", async () => {
    const key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    const stub = await start(startTinyS3(() => undefined));
    const store = openStore(
      stub,
      `&sse-customer-key=${key}&storage-class=STANDARD_IA&sign-payload=false`,
    );
    await store.put("a", text("hello"), {});
    await store.head("a", {});
    for await (const _ of (await store.get("a", {}))?.body ?? []);
    await openStore(stub, "&sse-kms-key-id=k1").put("b", text("x"), {});
    const [put, head, get, kms] = stub.requests;
    const customer = {
      "x-amz-server-side-encryption-customer-algorithm": "AES256",
      "x-amz-server-side-encryption-customer-key": key,
    };
    for (const request of [put, head, get]) expect(request?.headers).toMatchObject(customer);
    expect(put?.headers).toMatchObject({
      "x-amz-storage-class": "STANDARD_IA",
      "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
    });
    expect(kms?.headers).toMatchObject({
      "x-amz-server-side-encryption": "aws:kms",
      "x-amz-server-side-encryption-aws-kms-key-id": "k1",
    });
  });

  test("that delete many carry an MD5, unless told not to", async () => {
    const stub = await start(startS3Stub(() => ({ status: 200, body: "<DeleteResult/>" })));
    await openStore(stub).delete(["a", "b"], {});
    await openStore(stub, "&require-content-md5=false").delete(["a", "b"], {});
    const [first, second] = stub.requests;
    const md5 = createHash("md5")
      .update(first?.body ?? "")
      .digest("base64");
    expect(first?.headers["content-md5"]).toBe(md5);
    expect(second?.headers["content-md5"]).toBeUndefined();
  });

  test("send a part that failed again, not the whole upload", async () => {
    let isFirst = true;
    const stub = await start(
      startS3Stub(({ method, query }) => {
        if (method === "POST" && query.has("uploads")) {
          const id = "<UploadId>mine</UploadId>";
          const body = `<InitiateMultipartUploadResult>${id}</InitiateMultipartUploadResult>`;
          return { status: 200, body };
        }
        if (method === "POST") {
          const body =
            "<CompleteMultipartUploadResult><ETag>&quot;whole&quot;</ETag></CompleteMultipartUploadResult>";
          return { status: 200, body };
        }
        if (method === "PUT" && query.get("partNumber") === "2" && isFirst) {
          isFirst = false;
          return errorAnswer(503, "SlowDown");
        }
        return { status: 200, headers: { etag: '"part"' } };
      }),
    );
    await openStore(stub).put("a", bodyOf(new Uint8Array(20_000_000)), {});
    const parts = stub.requests
      .filter(({ method, query }) => method === "PUT" && query.has("partNumber"))
      .map(({ query }) => query.get("partNumber"));
    expect(parts.toSorted((a, b) => Number(a) - Number(b))).toEqual(["1", "2", "2", "3"]);
  });

  test("abort an upload in parts that fails, and those left over for a day", async () => {
    const old = new Date(clock.nowMs() - 48 * 3600 * 1000).toISOString();
    const young = new Date(clock.nowMs() - 3600 * 1000).toISOString();
    const stub = await start(
      startS3Stub(({ method, query }) => {
        if (method === "GET" && query.has("uploads")) {
          return {
            status: 200,
            body: `<ListMultipartUploadsResult>${upload("old", old)}${upload("young", young)}</ListMultipartUploadsResult>`,
          };
        }
        if (method === "POST" && query.has("uploads")) {
          return {
            status: 200,
            body: "<InitiateMultipartUploadResult><UploadId>mine</UploadId></InitiateMultipartUploadResult>",
          };
        }
        if (method === "DELETE") return { status: 204 };
        return errorAnswer(500, "InternalError");
      }),
    );
    const put = openStore(stub).put("a", bodyOf(new Uint8Array(9_000_000)), {});
    await expect(put).rejects.toMatchObject({ code: "store/unavailable" });
    const aborted = stub.requests
      .filter(({ method }) => method === "DELETE")
      .map(({ query }) => query.get("uploadId"));
    expect(aborted).toEqual(["old", "mine"]);
  });
});
