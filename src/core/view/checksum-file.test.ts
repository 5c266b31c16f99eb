import { describe, expect, it } from "vitest";
import { ReplicaHistory, pageOf, sampleHistory } from "../../../test/support/replica-builder.ts";
import { ViewReplica, keyOf, readAll } from "../../../test/support/view-replica.ts";
import { repositoryText } from "../../../test/support/repository.ts";
import { isKey } from "../store/object-key.ts";
import { bodyOf } from "../store/object-store.ts";
import { must } from "../base/assert.ts";
import { hasCode } from "../base/errors.ts";
import type { LogFields, Logger } from "../base/log.ts";
import { openCodec } from "../codec/codec.ts";
import { type PageIndexEntry, readPageIndex } from "../ltx/page-index.ts";
import { toTxid } from "../ltx/txid.ts";
import { listReplica } from "../replica/catalog.ts";
import { litestreamLayout, litestreamS3Layout } from "../replica/layout.ts";
import { listReplicaPaths } from "../replica/replica-paths.ts";
import {
  checksumFileKey,
  checksumFileLayout,
  decodeChecksumFile,
  encodeChecksumFile,
  listChecksumFiles,
  pruneChecksumFiles,
  writeChecksumFile,
} from "./checksum-file.ts";
import { MemoryFrames } from "./persistent-frames.ts";

const codec = openCodec();
const history = sampleHistory();
const image = { level: 9, min: 1, max: 3 };
const imageFile = { level: 9, minTxid: toTxid(1), maxTxid: toTxid(3) };
const sample = {
  pageSize: 4096,
  fileChecksum: 2n ** 63n + 12_345n,
  checksums: BigUint64Array.of(2n ** 63n + 1n, 2n ** 64n - 1n, 2n ** 63n),
};

/** Larger than what is read in whole for its index, and thereby proved. */
const large = { level: 9, min: 1, max: 1 };
const largeHistory = new ReplicaHistory(4096, [
  {
    commit: 60,
    pages: new Map(Array.from({ length: 60 }, (_, n) => [n + 1, pageOf(4096, n)])),
  },
]);

async function largeReplica({ isChecked }: { readonly isChecked: boolean }): Promise<ViewReplica> {
  const replica = new ViewReplica();
  await replica.putHistory(largeHistory, [large]);
  const { inner: store } = replica;
  const [file] = await listReplica(store, litestreamLayout, {});
  if (isChecked && file !== undefined) await writeChecksumFile(file, { store, codec });
  return replica;
}

/** A replica of one image, with its checksum file. */
async function checkedReplica(): Promise<ViewReplica> {
  const replica = new ViewReplica();
  await replica.putHistory(history, [image]);
  const { inner: store } = replica;
  for (const file of await listReplica(store, litestreamLayout, {})) {
    await writeChecksumFile(file, { store, codec });
  }
  return replica;
}

/** What the page index of a whole file says of a frame. */
function frameAt(bytes: Uint8Array, index: number): PageIndexEntry {
  const found = readPageIndex(codec, bytes, { name: "image", fileSizeBytes: bytes.length });
  return must([...(found.kind === "index" ? found.index : [])].at(index), "frame");
}

/** The image with a literal of a page flipped: it decodes as cleanly as before. Returns the page. */
async function alterLiteral(replica: ViewReplica, range = image): Promise<number> {
  const bytes = await replica.bytesOf(range);
  const { pgno, offset, sizeBytes } = frameAt(bytes, 4);
  const at = offset + sizeBytes - 100;
  await replica.put(range, bytes.with(at, (bytes[at] ?? 0) ^ 1));
  return pgno;
}

describe("a checksum file", () => {
  it("holds what was put into it", () => {
    expect(decodeChecksumFile(codec, encodeChecksumFile(codec, sample))).toEqual(sample);
    const none = { ...sample, checksums: new BigUint64Array(0) };
    expect(decodeChecksumFile(codec, encodeChecksumFile(codec, none))).toEqual(none);
  });

  it("is refused when any byte of it is altered, missing or too many", () => {
    const sound = encodeChecksumFile(codec, sample);
    for (let at = 0; at < sound.length; at++) {
      const altered = sound.with(at, (sound[at] ?? 0) ^ 0x10);
      expect(decodeChecksumFile(codec, altered), `byte ${at}`).toBeUndefined();
      expect(decodeChecksumFile(codec, sound.subarray(0, at))).toBeUndefined();
    }
    expect(decodeChecksumFile(codec, Uint8Array.of(...sound, 0))).toBeUndefined();
  });

  it("has the layout that its document describes", () => {
    const text = repositoryText("docs/formats/checksum-file.md");
    for (const [name, [offset, size]] of Object.entries(checksumFileLayout)) {
      expect(text).toMatch(new RegExp(`\\| ${offset} +\\| ${size} +\\| ${name} `, "u"));
    }
  });

  it("has a key that no program takes for a file of a level", async () => {
    const key = checksumFileKey(imageFile);
    expect(key).toBe("page-checksums/9/0000000000000001-0000000000000003.checksums");
    expect(isKey(key)).toBe(true);
    for (const layout of [litestreamLayout, litestreamS3Layout]) {
      expect(layout.parse(key)).toBeUndefined();
      for (let level = 0; level <= 9; level++) {
        expect(key.startsWith(layout.levelPrefix(level))).toBe(false);
        expect(layout.levelPrefix(level).startsWith("page-checksums/")).toBe(false);
      }
      const replica = new ViewReplica();
      await replica.inner.put(`app/${key}`, bodyOf(new Uint8Array(3)), {});
      expect(await listReplicaPaths(replica.inner, layout, {})).toEqual([]);
    }
  });

  it("is written from a file that proves itself, and not from a damaged or deleted one", async () => {
    const replica = await checkedReplica();
    const [file] = await listReplica(replica.inner, litestreamLayout, {});
    if (file === undefined) throw new Error("no file");
    await replica.inner.delete([checksumFileKey(file)], {});
    await alterLiteral(replica);
    const options = { store: replica.inner, codec };
    await expect(writeChecksumFile(file, options)).rejects.toMatchObject({ code: "ltx/checksum" });
    await replica.delete(image);
    await expect(writeChecksumFile(file, options)).rejects.toMatchObject({ code: "store/changed" });
    expect((await listChecksumFiles(replica.inner, {})).size).toBe(0);
    const localBody = bodyOf(await history.fileOf(image));
    await writeChecksumFile(file, { ...options, localBody });
    expect([...(await listChecksumFiles(replica.inner, {}))]).toEqual([checksumFileKey(file)]);
  });

  it("goes when its file is gone, and nothing else does", async () => {
    const replica = await checkedReplica();
    const { inner: store } = replica;
    const list = (): ReturnType<typeof listReplica> => listReplica(store, litestreamLayout, {});
    await store.put("page-checksums/9/notes.txt", bodyOf(new Uint8Array(1)), {});
    expect(await pruneChecksumFiles(store, list, {})).toEqual([]);
    await replica.delete(image);
    expect(await pruneChecksumFiles(store, list, {})).toEqual([checksumFileKey(imageFile)]);
    expect((await Array.fromAsync(store.list({ prefix: "page-checksums/" }))).length).toBe(1);
  });
});

describe("an altered page", () => {
  it("is found with a checksum file, fetched once more, and never handed out", async () => {
    const replica = await largeReplica({ isChecked: true });
    const pgno = await alterLiteral(replica, large);
    await using views = await replica.open({ cacheBytes: 5000 });
    using view = views.newest();
    replica.takeGets();
    const page = new Uint8Array(4096);
    const error: unknown = await view.read(pgno, page, {}).catch((thrown: unknown) => thrown);
    expect(hasCode(error, "view/corrupt-page")).toBe(true);
    expect(String(error)).toContain(`Page ${pgno} in ${keyOf(large)}`);
    expect(page.every((byte) => byte === 0)).toBe(true);
    const ofFile = replica.takeGets().filter((key) => key === keyOf(large));
    expect(ofFile.length).toBe(2);
    await view.read(pgno + 1, page, {});
    expect(Buffer.compare(page, largeHistory.pagesAt(1).get(pgno + 1) ?? page)).toBe(0);
  });

  it("is read as it is without one, unless its frame no longer decodes", async () => {
    const replica = await largeReplica({ isChecked: false });
    const pgno = await alterLiteral(replica, large);
    await using views = await replica.open({ cacheBytes: 5000 });
    using view = views.newest();
    const page = new Uint8Array(4096);
    await view.read(pgno, page, {});
    expect(Buffer.compare(page, largeHistory.pagesAt(1).get(pgno) ?? page)).not.toBe(0);
    const bytes = await replica.bytesOf(large);
    // The flags of the first frame.
    await replica.put(large, bytes.with(105, 9));
    await using others = await replica.open({ cacheBytes: 5000 });
    using other = others.newest();
    await expect(other.read(1, page, {})).rejects.toMatchObject({ code: "view/corrupt-page" });
  });

  it("is read after all if it was right the second time", async () => {
    const replica = await largeReplica({ isChecked: true });
    const bytes = await replica.bytesOf(large);
    // One that does not come with the header.
    const { pgno, offset } = frameAt(bytes, -1);
    let answers = 0;
    const { store } = replica;
    const flaky: typeof store = {
      ...store,
      get: async (key, options) => {
        const content = await store.get(key, options);
        if (content === undefined || key !== keyOf(large) || options.offset !== offset)
          return content;
        const isFirst = answers++ === 0;
        const part = bytes.slice(offset, offset + (options.length ?? 0));
        if (isFirst) part[part.length - 50] = (part[part.length - 50] ?? 0) ^ 4;
        return { info: content.info, body: once(part) };
      },
    };
    await using views = await replica.open({ cacheBytes: 5000, store: flaky });
    using view = views.newest();
    const page = new Uint8Array(4096);
    await view.read(pgno, page, {});
    expect(Buffer.compare(page, largeHistory.pagesAt(1).get(pgno) ?? page)).toBe(0);
    expect(answers).toBe(2);
  });

  it("does not come out of a persistent cache either", async () => {
    const replica = await largeReplica({ isChecked: true });
    const persistent = new MemoryFrames({ capacityBytes: 1_000_000 });
    const altering = {
      put: (...of: Parameters<MemoryFrames["put"]>) => persistent.put(...of),
      get: async (frame: Parameters<MemoryFrames["get"]>[0]) => {
        const bytes = (await persistent.get(frame))?.slice();
        if (bytes !== undefined) bytes[bytes.length - 50] = (bytes.at(-50) ?? 0) ^ 4;
        return bytes;
      },
    };
    for (let round = 0; round < 2; round++) {
      await using views = await replica.open({ cacheBytes: 5000, persistent: altering });
      using view = views.newest();
      expect(Buffer.compare(await readAll(view), largeHistory.databaseAt(1))).toBe(0);
    }
    expect(persistent.sizeBytes).toBeGreaterThan(50_000);
  });

  it("is not judged by a checksum file of another object, which is logged", async () => {
    const replica = await largeReplica({ isChecked: true });
    const events: (readonly [string, LogFields | undefined])[] = [];
    const logger: Logger = { log: (_, event, fields) => void events.push([event, fields]) };
    const again = await largeHistory.fileOf(large, { nodeId: 99n });
    await replica.put(large, again);
    await using views = await replica.open({ cacheBytes: 5000, logger });
    using view = views.newest();
    expect(Buffer.compare(await readAll(view), largeHistory.databaseAt(1))).toBe(0);
    expect(events).toEqual([
      [
        "view.checksums-unusable",
        {
          key: checksumFileKey({ level: 9, minTxid: toTxid(1), maxTxid: toTxid(1) }),
          reason: "of another file",
        },
      ],
    ]);
  });
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
