import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { type ErrorCode, HeadwaterError, messageOf } from "../../core/base/errors.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import {
  ReplicaHistory,
  ltxPath,
  pageOf,
  sampleHistory,
  writeLtx,
} from "../../../test/support/replica-builder.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { systemEnvironment } from "./environment.ts";
import { type RestoreOptions, restore, restoreIn } from "./restore.ts";

const history = sampleHistory();
const singles = Array.from({ length: 10 }, (_, n) => ({ level: 0, min: n + 1, max: n + 1 }));

interface Place extends Disposable {
  readonly replicaPath: string;
  readonly replica: string;
  readonly outputPath: string;
  readonly output: string;
}

/** A directory with an empty replica and an empty directory for the output. */
function makePlace(): Place {
  const { path, [Symbol.dispose]: dispose } = temporaryDirectory();
  const replicaPath = join(path, "replica");
  const outputPath = join(path, "output");
  mkdirSync(outputPath);
  const replica = pathToFileURL(replicaPath).href;
  return {
    replicaPath,
    replica,
    outputPath,
    output: join(outputPath, "app.db"),
    [Symbol.dispose]: dispose,
  };
}

/** The error of a restore, which leaves nothing behind. */
async function failureOf(options: RestoreOptions): Promise<HeadwaterError> {
  const error: unknown = await restore(options).then(
    () => new Error("the restore succeeded"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof HeadwaterError) return error;
  throw error;
}

function flip(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[copy.length - 20] = (copy[copy.length - 20] ?? 0) ^ 4;
  return copy;
}

describe("restore", () => {
  it.each([512, 4096, 65_536])(
    "gives every TXID byte for byte, proved, with pages of %i bytes",
    async (pageSize) => {
      using place = makePlace();
      const sized = sampleHistory(pageSize);
      await sized.writeFiles(place.replicaPath, [...singles, { level: 1, min: 3, max: 6 }]);
      for (let txid = 1; txid <= 10; txid++) {
        const result = await restore({ ...place, txid: toTxid(txid), force: true });
        expect(result).toMatchObject({ txid: BigInt(txid), proof: "proved" });
        expect(readFileSync(place.output).equals(sized.databaseAt(txid))).toBe(true);
      }
      expect(readdirSync(place.outputPath)).toEqual(["app.db"]);
    },
  );

  it("fetches a large file in ranges and many small ones ahead", async () => {
    using place = makePlace();
    const pages = new Map(
      Array.from({ length: 2600 }, (_, n) => [n + 1, pageOf(8192, n)] as const),
    );
    const small = Array.from({ length: 60 }, (_, n) => ({
      commit: 2600,
      pages: new Map([[n * 40 + 1, pageOf(8192, 5000 + n)]]),
    }));
    const large = new ReplicaHistory(8192, [{ commit: 2600, pages }, ...small]);
    const ranges = [1, ...small.map((_, n) => n + 2)].map((n) => ({ level: 0, min: n, max: n }));
    await large.writeFiles(place.replicaPath, ranges);
    for (const parallelism of [1, 3, 8]) {
      const progress: number[] = [];
      const result = await restore({
        ...place,
        parallelism,
        force: true,
        onProgress: ({ doneBytes, totalBytes }) => progress.push(doneBytes / totalBytes),
      });
      expect(result).toMatchObject({ files: 61, proof: "proved", sizeBytes: 2600 * 8192 });
      expect(readFileSync(place.output).equals(large.databaseAt(61))).toBe(true);
      expect(progress.at(-1)).toBe(1);
      expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    }
  });

  it("leaves the lock page and missing growth pages zero in a database beyond 1 GiB", async () => {
    using place = makePlace();
    const pageSize = 65_536;
    const lock = 16_385;
    const sparse = new ReplicaHistory(pageSize, [
      { commit: 1, pages: new Map([[1, pageOf(pageSize, 1)]]) },
      {
        commit: lock + 1,
        pages: new Map([
          [lock - 1, pageOf(pageSize, 2)],
          [lock + 1, pageOf(pageSize, 3)],
        ]),
      },
    ]);
    for (const n of [1, 2]) {
      const range = { level: 0, min: n, max: n };
      writeLtx(place.replicaPath, range, await sparse.fileOf(range, { proof: undefined }));
    }
    const { sizeBytes } = await restore(place);
    expect(sizeBytes).toBe((lock + 1) * pageSize);
    expect(statSync(place.output).size).toBe(sizeBytes);
    const file = openSync(place.output, "r");
    const pageAt = (pgno: number): Buffer => {
      const page = Buffer.alloc(pageSize);
      readSync(file, page, 0, pageSize, (pgno - 1) * pageSize);
      return page;
    };
    expect(pageAt(lock).equals(Buffer.alloc(pageSize))).toBe(true);
    expect(pageAt(5000).equals(Buffer.alloc(pageSize))).toBe(true);
    for (const pgno of [1, lock - 1, lock + 1]) {
      expect(pageAt(pgno).equals(sparse.pagesAt(2).get(pgno) ?? Buffer.alloc(0))).toBe(true);
    }
    closeSync(file);
  });
});

describe("restore from a faulty replica", () => {
  const range = { level: 0, min: 4, max: 4 };
  const swapped = new Map([[1, pageOf(4096, 777)]]);
  const faults: readonly (readonly [string, ErrorCode, string, () => Promise<Uint8Array>])[] = [
    [
      "a truncated file",
      "ltx/short",
      "ends before its trailer",
      async () => (await history.fileOf(range)).subarray(0, 200),
    ],
    ["an empty file", "ltx/short", "", () => Promise.resolve(new Uint8Array(0))],
    ["a flipped bit", "ltx/invalid", "", async () => flip(await history.fileOf(range))],
    [
      "a file that is no LTX file",
      "ltx/invalid",
      "",
      () => Promise.resolve(new Uint8Array(500).fill(65)),
    ],
    [
      "a file of another TXID",
      "replica/foreign-file",
      "not what its name says",
      () => history.fileOf({ min: 5, max: 5 }),
    ],
    [
      "a file of another page size",
      "replica/foreign-file",
      "pages of 512 bytes",
      () => sampleHistory(512).fileOf(range),
    ],
    [
      "a page swapped under a fixed CRC",
      "replica/proof",
      "does not give the database that was captured",
      () => history.fileOf(range, {}, swapped),
    ],
    [
      "a file that continues another database",
      "replica/proof",
      "does not continue",
      () => history.fileOf(range, { proof: { before: (1n << 63n) | 5n, after: 0n } }),
    ],
  ];

  it.each(faults)("names %s and restores nothing", async (_, code, text, bytes) => {
    using place = makePlace();
    await history.writeFiles(place.replicaPath, singles);
    writeLtx(place.replicaPath, range, await bytes());
    const error = await failureOf(place);
    expect(error.code).toBe(code);
    expect(error.message).toContain("ltx/0/0000000000000004-0000000000000004.ltx");
    expect(error.message).toContain(text);
    expect(readdirSync(place.outputPath)).toEqual([]);
    expect((await restore({ ...place, txid: toTxid(3) })).txid).toBe(3n);
  });

  it("names the hole that a missing file leaves", async () => {
    using place = makePlace();
    await history.writeFiles(place.replicaPath, singles);
    rmSync(ltxPath(place.replicaPath, range));
    const error = await failureOf(place);
    expect(error.code).toBe("replica/gap");
    expect(error.message).toContain("no file covers TXID 0000000000000004");
    expect(error.message).toContain("0000000000000001 to 0000000000000003");
  });

  it("names a file that vanishes after it was listed, and one that is replaced", async () => {
    using place = makePlace();
    await history.writeFiles(place.replicaPath, singles);
    const environment = systemEnvironment();
    const meddle = async (change: () => void): Promise<unknown> => {
      await history.writeFiles(place.replicaPath, singles);
      const openReplica: typeof environment.openReplica = async (url, options) => {
        const store = await environment.openReplica(url, options);
        const list: typeof store.list = async function* listThenChange(asked) {
          yield* store.list(asked);
          if (asked.prefix === "ltx/") change();
        };
        return new Proxy(store, {
          get: (target, name) => {
            if (name === "list") return list;
            const value: unknown = Reflect.get(target, name);
            return typeof value === "function" ? value.bind(target) : value;
          },
        });
      };
      return restoreIn({ ...environment, openReplica }, place).catch((error: unknown) => error);
    };
    const other = await history.fileOf({ min: 5, max: 5 });
    const gone = await meddle(() => rmSync(ltxPath(place.replicaPath, range)));
    expect(gone).toMatchObject({ code: "replica/gap" });
    expect(messageOf(gone)).toContain("0000000000000004-0000000000000004.ltx");
    const replaced = await meddle(() => {
      rmSync(ltxPath(place.replicaPath, range));
      writeLtx(place.replicaPath, range, other);
    });
    expect(replaced).toMatchObject({ code: "store/changed" });
    expect(readdirSync(place.outputPath)).toEqual([]);
  });

  it("says what can be restored when the point asked for cannot", async () => {
    using place = makePlace();
    await history.writeFiles(place.replicaPath, singles);
    const beyond = await failureOf({ ...place, txid: toTxid(99) });
    expect(beyond.code).toBe("replica/unreachable-txid");
    expect(beyond.message).toContain("0000000000000001 to 000000000000000a");
    const early = await failureOf({ ...place, timestamp: new Date(1_700_000_001_000) });
    expect(early.code).toBe("replica/unreachable-time");
    expect(early.message).toContain("2023-11-14T22:13:21.000Z");
    expect((await restore({ ...place, timestamp: new Date("2999-01-01") })).txid).toBe(10n);
  });

  it("refuses an empty replica, an unknown scheme, and options that make no sense", async () => {
    using place = makePlace();
    expect((await failureOf(place)).code).toBe("replica/empty");
    expect((await failureOf({ ...place, replica: "gopher://x/y" })).code).toBe("store/url");
    expect((await failureOf({ ...place, parallelism: 0 })).code).toBe("usage/invalid");
    expect((await failureOf({ ...place, timestamp: new Date(Number.NaN) })).code).toBe(
      "usage/invalid",
    );
    const both = { txid: toTxid(1), timestamp: new Date() };
    expect((await failureOf({ ...place, ...both })).code).toBe("usage/invalid");
  });

  it("leaves nothing when it is aborted in the middle", async () => {
    using place = makePlace();
    await history.writeFiles(place.replicaPath, singles);
    writeFileSync(join(place.outputPath, "other"), "stays");
    for (const after of [1, 4, 10]) {
      const controller = new AbortController();
      let calls = 0;
      const restoring = restore({
        ...place,
        signal: controller.signal,
        onProgress: () => {
          calls++;
          if (calls === after) controller.abort(new Error("enough"));
        },
      });
      await expect(restoring).rejects.toThrow("enough");
      expect(readdirSync(place.outputPath)).toEqual(["other"]);
    }
  });
});
