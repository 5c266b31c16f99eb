// The store behind HTTP against a real server: the read part of the suite, and what servers leave out or do wrong.
import { describe, expect, test } from "vitest";
import {
  type HttpServer,
  type HttpServerOptions,
  startHttpServer,
} from "../../../test/support/http-server.ts";
import { collectBytes } from "../base/bytes.ts";
import { silentLogger } from "../base/log.ts";
import { noise } from "../testing/object-store-case.ts";
import { readCases } from "../testing/object-store-read-cases.ts";
import { createSeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import type { HttpFetch } from "./http-answer.ts";
import { createHttpStore } from "./http-store.ts";
import { createMemoryStore } from "./memory-store.ts";
import { type GetOptions, type ObjectStore, bodyOf } from "./object-store.ts";
import { createRetryingStore } from "./retrying-store.ts";

const clock = new VirtualClock({ isEager: true });

/** The response headers that CORS shows without being told to. */
const safelisted = new Set(["cache-control", "content-length", "content-type", "last-modified"]);

/** `fetch` as it is in a browser on another origin. */
const hidingFetch: HttpFetch = async (url, request) => {
  const answer = await fetch(url, request);
  const get = (name: string): string | null =>
    safelisted.has(name) ? answer.headers.get(name) : null;
  return { status: answer.status, headers: { get }, body: answer.body };
};

interface Scene extends AsyncDisposable {
  readonly server: HttpServer;
  /** What the server serves. */
  readonly objects: ObjectStore;
  readonly store: ObjectStore;
}

async function openScene(
  options: HttpServerOptions & { readonly fetch?: HttpFetch } = {},
): Promise<Scene> {
  const objects = createMemoryStore({ clock });
  const server = await startHttpServer(objects, options);
  const store = createHttpStore({
    url: server.url,
    fetch: options.fetch ?? fetch,
    revalidation: "header",
  });
  return {
    server,
    objects,
    store,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Reads go through HTTP, all else to what is served. */
function readingThrough({ objects, store, ...scene }: Scene): ObjectStore {
  return {
    url: store.url,
    features: async (waiting) => ({ ...(await objects.features(waiting)), copy: false }),
    put: (...args) => objects.put(...args),
    list: (options) => objects.list(options),
    delete: (...args) => objects.delete(...args),
    copy: (...args) => objects.copy(...args),
    get: (...args) => store.get(...args),
    head: (...args) => store.head(...args),
    [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose](),
  };
}

async function read(
  store: ObjectStore,
  key: string,
  options: GetOptions = {},
): Promise<Uint8Array | undefined> {
  const content = await store.get(key, options);
  return content && collectBytes(content.body);
}

describe.each([
  ["", {}],
  [" without ranges", { hasRanges: false }],
  [" with a fetch that hides what CORS hides", { fetch: hidingFetch }],
])("store behind HTTP%s", (name, options) => {
  // Versions cannot be told from times of one second.
  const cases = readCases.filter(
    (one) => !(name.includes("hides") && one.name.includes("version")),
  );
  test.for(cases)("$name", async ({ run }) => {
    const opened = openScene(options).then(readingThrough);
    await expect(run(() => opened)).resolves.toBeUndefined();
  });
});

test("only the Range header is sent, which needs no preflight", async () => {
  await using scene = await openScene();
  await scene.objects.put("key", bodyOf(noise(1000, 1)), {});
  const { etag = "" } = (await scene.store.head("key", {})) ?? {};
  scene.server.takeRequests();
  await read(scene.store, "key", { offset: 10, length: 20, etag });
  const [request] = scene.server.takeRequests();
  expect(request?.range).toBe("bytes=10-29");
  expect(Object.keys(request?.headers ?? {})).not.toContain("if-match");
});

test("an object that has not changed is not sent again", async () => {
  await using scene = await openScene();
  const { etag } = await scene.objects.put("key", bodyOf(noise(1000, 1)), {});
  const content = await scene.store.get("key", { unlessEtag: etag });
  expect(content?.info.etag).toBe(etag);
  expect(content && (await collectBytes(content.body))).toHaveLength(0);
  expect(scene.server.takeRequests()).toMatchObject([{ status: 304 }]);
  await scene.objects.put("key", bodyOf(noise(1001, 2)), {});
  expect(await read(scene.store, "key", { unlessEtag: etag })).toHaveLength(1001);
});

test("a server without ranges is refused a part of a large object", async () => {
  await using scene = await openScene({ hasRanges: false });
  await scene.objects.put("large", bodyOf(noise(9_000_000, 3)), {});
  const reading = read(scene.store, "large", { offset: 100, length: 10 });
  await expect(reading).rejects.toMatchObject({ code: "store/failed" });
  await expect(reading).rejects.toThrow("Range");
  expect(await read(scene.store, "large")).toHaveLength(9_000_000);
});

test("small objects of unknown length are read, large ones are refused", async () => {
  await using scene = await openScene({ hasLengths: false, hasRanges: false });
  await scene.objects.put("small", bodyOf(noise(100_000, 4)), {});
  await scene.objects.put("large", bodyOf(noise(9_000_000, 4)), {});
  expect((await scene.store.get("small", {}))?.info.sizeBytes).toBe(100_000);
  expect(await read(scene.store, "small", { offset: 99_990, length: 100 })).toHaveLength(10);
  await expect(read(scene.store, "large")).rejects.toMatchObject({ code: "store/failed" });
});

test.each([
  [401, "store/denied"],
  [403, "store/denied"],
  [408, "store/unavailable"],
  [429, "store/unavailable"],
  [500, "store/unavailable"],
  [503, "store/unavailable"],
  [501, "store/failed"],
  [204, "store/failed"],
  [400, "store/failed"],
])("HTTP %i is %s", async (status, code) => {
  await using scene = await openScene();
  scene.server.fault = () => ({ kind: "status", status });
  await expect(scene.store.get("key", {})).rejects.toMatchObject({ code, data: { status } });
  await expect(scene.store.head("key", {})).rejects.toMatchObject({ code });
});

test("what is gone is absent, whether by 404 or 410", async () => {
  await using scene = await openScene();
  scene.server.fault = () => ({ kind: "status", status: 410 });
  expect(await scene.store.get("key", {})).toBeUndefined();
});

test("nobody who answers is unavailable, and the message names the server", async () => {
  const scene = await openScene();
  await scene[Symbol.asyncDispose]();
  const asking = scene.store.head("key", {});
  await expect(asking).rejects.toMatchObject({ code: "store/unavailable" });
  await expect(asking).rejects.toThrow(scene.server.url);
});

test("a body that is cut off is read on from there", async () => {
  await using scene = await openScene();
  const bytes = noise(300_000, 5);
  await scene.objects.put("key", bodyOf(bytes), {});
  let cuts = 0;
  scene.server.fault = ({ method }) =>
    method === "GET" && cuts++ < 2 ? { kind: "cut", afterBytes: 100_000 } : undefined;
  await expect(read(scene.store, "key", { offset: 0, length: 250_000 })).rejects.toMatchObject({
    code: "store/unavailable",
  });
  const random = createSeededRandom(1);
  const store = createRetryingStore(scene.store, { clock, random, logger: silentLogger });
  expect(await read(store, "key", { offset: 10 })).toEqual(bytes.subarray(10));
  expect(cuts).toBeGreaterThan(2);
});

test("fewer bytes than asked for are an error, and more are left", async () => {
  await using scene = await openScene();
  await scene.objects.put("key", bodyOf(noise(10_000, 6)), {});
  scene.server.fault = () => ({ kind: "length", sizeBytes: 50 });
  await expect(read(scene.store, "key", { offset: 0, length: 100 })).rejects.toMatchObject({
    code: "store/unavailable",
  });
  scene.server.fault = () => ({ kind: "length", sizeBytes: 200 });
  expect(await read(scene.store, "key", { offset: 0, length: 100 })).toHaveLength(100);
});

test("a body that was read whole is not cancelled, which would cost its connection; one with more in it is", async () => {
  const bytes = noise(1_000, 8);
  const outcomeOf = async (sent: Uint8Array, headers: Record<string, string>): Promise<string> => {
    const outcome = Promise.withResolvers<string>();
    let at = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        // Tells its end only when it is asked once more, as those of browsers do.
        pull: (controller) => {
          if (at < sent.length) return controller.enqueue(sent.slice(at, (at += 50)));
          controller.close();
          outcome.resolve("read");
        },
        cancel: () => outcome.resolve("cancelled"),
      },
      { highWaterMark: 0 },
    );
    const answer = new Response(body, { status: "content-range" in headers ? 206 : 200, headers });
    const url = "http://127.0.0.1/replica";
    const store = createHttpStore({ url, fetch: async () => answer, revalidation: "header" });
    expect(await read(store, "key", { offset: 0, length: 100 })).toEqual(bytes.slice(0, 100));
    return outcome.promise;
  };
  const part = bytes.subarray(0, 100);
  const range = { "content-range": "bytes 0-99/1000" };
  expect(await outcomeOf(part, range)).toBe("read");
  expect(await outcomeOf(part, { ...range, "content-length": "100" })).toBe("read");
  expect(await outcomeOf(part, { "content-length": "100" })).toBe("read");
  expect(await outcomeOf(bytes, { ...range, "content-length": "1000" })).toBe("cancelled");
  expect(await outcomeOf(bytes, { "content-length": "1000" })).toBe("cancelled");
});

test("bytes from another place than asked for are refused", async () => {
  await using scene = await openScene();
  await scene.objects.put("key", bodyOf(noise(10_000, 7)), {});
  scene.server.fault = () => ({ kind: "offset", offset: 5 });
  await expect(read(scene.store, "key", { offset: 6, length: 10 })).rejects.toMatchObject({
    code: "store/failed",
  });
});

test("nothing can be listed or written", async () => {
  await using scene = await openScene();
  const listing = Array.fromAsync(scene.store.list({ prefix: "" }));
  await expect(listing).rejects.toMatchObject({ code: "store/failed" });
  for (const work of [
    scene.store.put("key", bodyOf(noise(1, 1)), {}),
    scene.store.delete(["key"], {}),
    scene.store.copy("a", "b", {}),
  ]) {
    await expect(work).rejects.toMatchObject({ code: "store/failed" });
    await expect(work).rejects.toThrow("HTTP, which cannot write");
  }
});

test("a query of the URL goes with every request and is not shown", async () => {
  await using scene = await openScene();
  await scene.objects.put("key", bodyOf(noise(10, 1)), {});
  const url = `${scene.server.url}/?token=hush`;
  let asked = "";
  const store = createHttpStore({
    url,
    fetch: (address, request) => {
      asked = address;
      return fetch(address, request);
    },
    revalidation: "header",
  });
  expect(await read(store, "key")).toHaveLength(10);
  expect(asked).toBe(`${scene.server.url}/key?token=hush`);
  expect(store.url).toBe(scene.server.url);
});

test.each(["ftp://host/x", "nothing", "https://user:hush@host/path"])("%s is refused", (url) => {
  expect(() => createHttpStore({ url, fetch, revalidation: "header" })).toThrow(
    expect.objectContaining({ code: "store/url", message: expect.not.stringContaining("hush") }),
  );
});
