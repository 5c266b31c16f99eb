import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { silentLogger } from "../../core/base/log.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openStore, urlWithoutSecrets } from "./open-store.ts";

function open(url: string): Promise<ObjectStore> {
  return openStore(url, {
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    fileSystem: nodeFileSystem,
    environment: {},
  });
}

test("a file URL opens the directory it names, whatever its characters and query", async () => {
  const directory = await fs.mkdtemp(join(tmpdir(), "headwater-open-"));
  try {
    const url = pathToFileURL(join(directory, "a b%é"));
    await using store = await open(`${url.href}?ignored=1`);
    await store.put("0000/x", bodyOf(new Uint8Array(1)), {});
    expect(await fs.readdir(join(directory, "a b%é"))).toEqual(["0000"]);
  } finally {
    await fs.rm(directory, { recursive: true });
  }
});

test("an S3 URL opens without a request, and the store's own URL has no parameters", async () => {
  await using store = await open("s3://bucket/path?endpoint=127.0.0.1:1");
  expect(store.url).toBe("s3://bucket/path");
});

test.for([
  "ftp://host/path",
  "/plain/path",
  "relative",
  "",
  "gs://bucket",
  "file://host/path",
  "file:relative",
  "s3://b?x=1",
])("%s is no URL of a store", async (url) => {
  await expect(open(url)).rejects.toMatchObject({ code: "store/url" });
});

test("a refused URL shows no password", async () => {
  const refused = open("sftp://user:hush@host/path?key=hush");
  await expect(refused).rejects.toThrow(expect.not.stringContaining("hush"));
});

test.each([
  ["s3://bucket/app", "s3://bucket/app"],
  ["s3://bucket/app?endpoint=http://h:9&region=x", "s3://bucket/app?endpoint=http://h:9&region=x"],
  ["s3://bucket/app?sseCustomerKey=c2VjcmV0&region=x", "s3://bucket/app?region=x"],
  ["s3://bucket/app?sse-customer-key=c2VjcmV0", "s3://bucket/app"],
  ["sftp://user:secret@host/path", "sftp://host/path"],
  ["file:///var/backups/app", "file:///var/backups/app"],
  ["https://user:secret@host/path?token=secret", "https://host/path"],
])("%s is written down as %s", (url, written) => {
  expect(urlWithoutSecrets(url)).toBe(written);
});

test("an HTTP URL opens without a request, and shows neither user nor query", async () => {
  await using store = await open("https://user:hush@host/path/?token=hush");
  expect(store.url).toBe("https://host/path");
});
