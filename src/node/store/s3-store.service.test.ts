// The S3 store against a real server: the suite, and the faults of networks and accounts.
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { bytesEqual } from "../../core/base/bytes.ts";
import { silentLogger } from "../../core/base/log.ts";
import type { Logger } from "../../core/base/log.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { createRetryingStore } from "../../core/store/retrying-store.ts";
import { noise, read } from "../../core/testing/object-store-case.ts";
import { objectStoreCases } from "../../core/testing/object-store-suite.ts";
import { startFaultProxy } from "../../../test/support/fault-proxy.ts";
import type { FaultProxy } from "../../../test/support/fault-proxy.ts";
import { createBucket } from "../../../test/support/s3-bucket.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { createS3Store } from "./s3-store.ts";

const s3 = inject("s3");
const bucket = `headwater-${Date.now()}`;
let count = 0;

interface Overrides {
  readonly endpoint?: string;
  readonly bucket?: string;
  readonly secret?: string;
  readonly parameters?: string;
  readonly idleTimeoutMs?: number;
}

const world = {
  environment: { AWS_ACCESS_KEY_ID: s3?.accessKeyId, AWS_SECRET_ACCESS_KEY: s3?.secretAccessKey },
  clock: systemClock,
  random: systemRandom,
  logger: silentLogger,
};

/** A store at a path that nobody else uses. */
function openStore(overrides: Overrides = {}): ObjectStore {
  count += 1;
  const endpoint = overrides.endpoint ?? s3?.endpoint ?? "";
  const query = `endpoint=${endpoint}${overrides.parameters ?? ""}`;
  return createS3Store({
    ...world,
    url: `s3://${overrides.bucket ?? bucket}/store-${count}?${query}`,
    environment: {
      ...world.environment,
      ...(overrides.secret === undefined ? {} : { AWS_SECRET_ACCESS_KEY: overrides.secret }),
    },
    timeouts: { connectTimeoutMs: 2000, idleTimeoutMs: overrides.idleTimeoutMs ?? 20_000 },
  });
}

function openWithoutKeys(): ObjectStore {
  const url = `s3://${bucket}/profile?endpoint=${s3?.endpoint}`;
  return createS3Store({ ...world, environment: {}, url });
}

async function listAll(store: ObjectStore): Promise<void> {
  for await (const _ of store.list({ prefix: "" }));
}

async function isStored(store: ObjectStore, key: string, bytes: Uint8Array): Promise<boolean> {
  const found = await read(store, key);
  return found !== undefined && bytesEqual(found, bytes);
}

beforeAll(async () => {
  if (s3 !== undefined) await createBucket(s3, bucket);
});

describe.skipIf(s3 === undefined)("S3 store on Ceph", () => {
  test.for(objectStoreCases)("$name", async ({ run }) => {
    await expect(run(async () => openStore())).resolves.toBeUndefined();
  });

  test("an empty path puts a slash before the keys, as Litestream does", async () => {
    const url = `s3://${bucket}?endpoint=${s3?.endpoint}`;
    await using root = createS3Store({ ...world, url });
    const bytes = noise(1000, 29);
    await root.put("0000/a", bodyOf(bytes), { timestampMs: 5 });
    expect(await isStored(root, "0000/a", bytes)).toBe(true);
    const keys = [];
    for await (const { key } of root.list({ prefix: "" })) keys.push(key);
    expect(keys).toEqual(["0000/a"]);
    await root.delete(["0000/a"], {});
  });

  test("what this server does with conditions is found out, and no trace is left", async () => {
    await using store = openStore();
    expect(await store.features({})).toEqual({
      createOnly: true,
      replaceIfUnchanged: true,
      listsExactTimes: false,
      copy: true,
    });
    const keys = [];
    for await (const { key } of store.list({ prefix: "" })) keys.push(key);
    expect(keys).toEqual([]);
  });

  test("a large create-only put is one request, and unsigned payloads are stored too", async () => {
    await using store = openStore();
    await using unsigned = openStore({ parameters: "&sign-payload=false&part-size=5242880" });
    const bytes = noise(21_000_000, 30);
    for (const target of [store, unsigned]) {
      const { etag } = await target.put("one", bodyOf(bytes), { condition: "absent" });
      // A multipart upload's ETag ends in the number of its parts.
      expect(etag).toMatch(/^[0-9a-f]{32}$/);
      const many = await target.put("many", bodyOf(bytes), {});
      expect(many.etag).toMatch(/^[0-9a-f]{32}-\d$/);
      for (const key of ["one", "many"]) expect(await isStored(target, key, bytes)).toBe(true);
    }
  });
});

describe.skipIf(s3 === undefined)("a create-only put of unknown length", () => {
  test("is checked before it is sent in parts, and reported as unfenced", async () => {
    const events: string[] = [];
    const logger: Logger = { log: (_level, event) => events.push(event) };
    const url = `s3://${bucket}/unfenced?endpoint=${s3?.endpoint}`;
    await using store = createS3Store({ ...world, logger, url });
    const body = { ...bodyOf(noise(9_000_000, 39)), sizeBytes: undefined };
    await store.put("key", body, { condition: "absent" });
    const again = store.put("key", body, { condition: "absent" });
    await expect(again).rejects.toMatchObject({ code: "store/exists" });
    expect(events.filter((event) => event === "store.unfenced")).toHaveLength(2);
  });
});

describe.skipIf(s3 === undefined)("S3 store behind a bad network", () => {
  let proxy: FaultProxy;
  beforeAll(async () => {
    proxy = await startFaultProxy(s3?.endpoint ?? "");
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
  });

  /** Through the proxy, with retries that do not wait long. */
  function openRetrying(idleTimeoutMs?: number): ObjectStore {
    const store = openStore({
      endpoint: proxy.endpoint,
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    });
    const backoff = { firstMs: 20, maxMs: 200 };
    return createRetryingStore(store, { ...world, attempts: 8, backoff });
  }

  test("uploads that are reset in the middle are sent again", async () => {
    await using store = openRetrying();
    const bytes = noise(12_000_000, 31);
    for (const condition of ["absent", undefined] as const) {
      await store.features({});
      proxy.setFault({ kind: "cut-upload", afterBytes: 1_000_000 }, 2);
      await store.put(`key-${condition}`, bodyOf(bytes), { condition });
      expect(await isStored(store, `key-${condition}`, bytes)).toBe(true);
    }
  });

  test("a create-only put whose reply is lost ends as a success", async () => {
    await using store = openRetrying();
    await store.features({});
    proxy.setFault({ kind: "lose-reply" }, 1);
    const info = await store.put("key", bodyOf(noise(1000, 32)), {
      condition: "absent",
      timestampMs: 1234,
    });
    expect(info).toMatchObject({ sizeBytes: 1000, timestampMs: 1234, isExactTime: true });
    expect(await isStored(store, "key", noise(1000, 32))).toBe(true);
  });

  test("a download that is cut off again and again comes out whole", async () => {
    await using store = openRetrying();
    const bytes = noise(6_000_000, 33);
    await store.put("key", bodyOf(bytes), {});
    proxy.setFault({ kind: "cut-download", afterBytes: 1_500_000 }, 5);
    expect(await isStored(store, "key", bytes)).toBe(true);
  });

  test("a connection that swallows everything is given up", async () => {
    await using store = openRetrying(700);
    proxy.setFault({ kind: "blackhole" }, 1);
    const put = store.put("key", bodyOf(noise(9_000_000, 34)), {});
    await expect(put).resolves.toMatchObject({ sizeBytes: 9_000_000 });
    proxy.setFault({ kind: "blackhole" }, 1);
    expect((await read(store, "key"))?.length).toBe(9_000_000);
  });

  test("a slow connection is only slow", async () => {
    await using store = openRetrying();
    proxy.setFault({ kind: "latency", ms: 60 });
    await store.put("key", bodyOf(noise(500_000, 35)), {});
    expect(await isStored(store, "key", noise(500_000, 35))).toBe(true);
    proxy.setFault(undefined);
  });

  test("a wait is ended by its signal, whatever the network does", async () => {
    await using store = openRetrying();
    proxy.setFault({ kind: "blackhole" });
    const signal = AbortSignal.timeout(150);
    const put = store.put("key", bodyOf(noise(100, 36)), { signal });
    await expect(put).rejects.toMatchObject({ name: "TimeoutError", code: 23 });
    proxy.setFault({ kind: "refuse" });
    const head = store.head("key", { signal: AbortSignal.timeout(150) });
    await expect(head).rejects.toMatchObject({ name: "TimeoutError", code: 23 });
    proxy.setFault(undefined);
  });
});

describe.skipIf(s3 === undefined)("S3 store without keys in its environment", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await fs.mkdtemp(join(tmpdir(), "headwater-aws-"));
    const profile = `[somebody]\naws_access_key_id = ${s3?.accessKeyId}\naws_secret_access_key = ${s3?.secretAccessKey}\n`;
    await fs.writeFile(join(directory, "credentials"), profile);
    vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", join(directory, "credentials"));
    vi.stubEnv("AWS_CONFIG_FILE", join(directory, "config"));
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await fs.rm(directory, { recursive: true });
  });

  test("finds those of the profile that AWS_PROFILE names", async () => {
    vi.stubEnv("AWS_PROFILE", "somebody");
    await using store = openWithoutKeys();
    await expect(store.put("key", bodyOf(noise(10, 38)), {})).resolves.toMatchObject({
      sizeBytes: 10,
    });
  });

  test("says so when there are none anywhere", async () => {
    vi.stubEnv("AWS_PROFILE", "nobody");
    await using store = openWithoutKeys();
    await expect(store.head("key", {})).rejects.toMatchObject({
      code: "store/denied",
      message: expect.stringContaining("no credentials"),
    });
  });
});

describe.skipIf(s3 === undefined)("S3 store with something wrong", () => {
  const some = bodyOf(noise(10, 37));

  test("says that the credentials are wrong, without showing them", async () => {
    const secret = "wrong-secret-0123456789";
    await using store = openStore({ secret });
    const error = await store.put("key", some, {}).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "store/denied" });
    expect(
      JSON.stringify([String(error), error, Reflect.get(Object(error), "cause")]),
    ).not.toContain(secret);
    await expect(listAll(store)).rejects.toMatchObject({ code: "store/denied" });
    await expect(store.features({})).rejects.toMatchObject({ code: "store/denied" });
  });

  test("says that the bucket is missing", async () => {
    await using store = openStore({ bucket: "no-such-bucket" });
    const missing = { code: "store/missing-bucket" };
    await expect(store.put("key", some, {})).rejects.toMatchObject(missing);
    await expect(store.get("key", {})).rejects.toMatchObject(missing);
    await expect(listAll(store)).rejects.toMatchObject(missing);
    await expect(store.delete(["a", "b"], {})).rejects.toMatchObject(missing);
  });

  test("names the host that does not answer", async () => {
    await using store = openStore({ endpoint: "http://127.0.0.1:1" });
    await expect(store.head("key", {})).rejects.toMatchObject({
      code: "store/unavailable",
      message: expect.stringContaining("127.0.0.1:1"),
    });
    await using nowhere = openStore({ endpoint: "http://s3.headwater.invalid" });
    await expect(listAll(nowhere)).rejects.toMatchObject({
      code: "store/unavailable",
      message: expect.stringContaining("s3.headwater.invalid"),
    });
  });
});
