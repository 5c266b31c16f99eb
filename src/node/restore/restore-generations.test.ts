// Backups of Litestream 0.3: everything the golden manifests record, and what damage does.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mapConcurrent } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { createMemoryStore } from "../../core/store/memory-store.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { type ObjectStore, bodyOf } from "../../core/store/object-store.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import {
  type GenerationRestore,
  type GenerationSet,
  copyGenerations,
} from "../../../test/support/golden-generations.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { type Environment, systemEnvironment } from "./environment.ts";
import { type RestoreOptions, restoreIn } from "./restore.ts";

const restoresAtOnce = 4;
const newer = "59a630dad6887f55";
const older = "29dcb06471399316";

/** The SHA-256 of the restored database, or the code of the refusal. */
async function restored(
  path: string,
  point: Partial<RestoreOptions>,
  environment: Environment = systemEnvironment(),
): Promise<string> {
  using directory = temporaryDirectory();
  const output = join(directory.path, "restored.db");
  const replica = pathToFileURL(path).href;
  const code = await restoreIn(environment, { replica, output, ...point }).then(
    () => undefined,
    (error: unknown) => (error instanceof HeadwaterError ? error.code : Promise.reject(error)),
  );
  // Neither the temporary file nor the one WALs are collected in stays behind.
  expect(readdirSync(directory.path)).toEqual(code === undefined ? ["restored.db"] : []);
  return code ?? createHash("sha256").update(readFileSync(output)).digest("hex");
}

function pointOf({
  timestamp,
  generation,
  index,
  txid,
}: GenerationRestore): Partial<RestoreOptions> {
  return {
    timestamp: timestamp === undefined ? undefined : new Date(timestamp),
    generation,
    index: index === undefined ? undefined : Number.parseInt(index, 16),
    txid: txid === undefined ? undefined : toTxid(txid),
  };
}

/** 0.5 where both were tried: 0.3.13 refuses times that 0.5 serves. */
function recordedOf(restore: GenerationRestore): string | undefined {
  return (restore["v0.5"] ?? restore["v0.3.13"] ?? restore).dbSha256;
}

/** Litestream refuses times after the last file; here they mean the newest state. */
function expectedOf(restore: GenerationRestore, all: readonly GenerationRestore[]): string {
  const recorded = recordedOf(restore);
  if (recorded !== undefined) return recorded;
  if (restore.txid !== undefined) return "replica/unreachable-txid";
  if (/before the first/u.test(restore.what)) return "replica/unreachable-time";
  return all.find(({ what }) => what === "latest")?.dbSha256 ?? recordedOf(all[0] ?? restore) ?? "";
}

describe.each(["daemon-v03", "daemon-v03-then-v05"] as const)("golden set %s", (name) => {
  let set: GenerationSet;
  beforeAll(() => {
    set = copyGenerations(name);
  });
  afterAll(() => set[Symbol.dispose]());

  it("restores everything on record to the recorded bytes", async () => {
    expect(set.restores.length).toBeGreaterThan(30);
    const found = await mapConcurrent(set.restores, restoresAtOnce, async (restore) => ({
      ...pointOf(restore),
      result: await restored(set.path, pointOf(restore)),
    }));
    expect(found).toEqual(
      set.restores.map((restore) => ({
        ...pointOf(restore),
        result: expectedOf(restore, set.restores),
      })),
    );
  });

  it("restores the same from an S3 layout", async () => {
    const store = await loadS3Store(set.path);
    const environment = { ...systemEnvironment(), openReplica: () => Promise.resolve(store) };
    const expected = await restored(set.path, {});
    expect(await restored(set.path, {}, environment)).toBe(expected);
    const point = { generation: older, index: 4 };
    expect(await restored(set.path, point, environment)).toBe(await restored(set.path, point));
  });
});

describe("a restore of a Litestream 0.3 backup", () => {
  it("reports where the state lies, when it was, what comes next, and passes SQLite's check", async () => {
    using set = copyGenerations("daemon-v03");
    using directory = temporaryDirectory();
    const replica = pathToFileURL(set.path).href;
    const result = await restoreIn(systemEnvironment(), {
      replica,
      output: directory.file("app.db"),
      timestamp: new Date("2026-11-22T13:51:41.325Z"),
      integrityCheck: "full",
    });
    expect(result).toMatchObject({
      txid: undefined,
      generation: { generation: older },
      proof: "unproved",
      sizeBytes: 32768,
    });
    expect(result.chosen?.timestampMs).toBeLessThanOrEqual(Date.parse("2026-11-22T13:51:41.325Z"));
    expect(result.chosen?.next?.timestampMs).toBeGreaterThan(
      Date.parse("2026-11-22T13:51:41.325Z"),
    );
  });

  it("refuses a missing segment and a missing index, and restores what lies before them", async () => {
    const wal = `generations/${newer}/wal`;
    const recorded = (set: GenerationSet, index: string): string | undefined => {
      const point = set.restores.find((one) => one.generation === newer && one.index === index);
      return point && recordedOf(point);
    };
    for (const missing of ["00000003_00003068", "00000003_0000a110", "00000003_00000000"]) {
      using set = copyGenerations("daemon-v03");
      rmSync(join(set.path, wal, `${missing}.wal.lz4`));
      const before = { generation: newer, index: 2 };
      // The snapshot of index 3 needs its WAL; without it the one before serves.
      expect(await restored(set.path, {})).toBe("replica/gap");
      expect(await restored(set.path, before)).toBe(recorded(set, "00000002"));
    }
    using set = copyGenerations("daemon-v03");
    rmSync(join(set.path, `generations/${newer}/snapshots/00000003.snapshot.lz4`));
    expect(await restored(set.path, {})).toBe(recorded(set, "00000004"));
    for (const name of readdirSync(join(set.path, wal))) {
      if (name.startsWith("00000002_")) rmSync(join(set.path, wal, name));
    }
    expect(await restored(set.path, {})).toBe("replica/gap");
    rmSync(join(set.path, `generations/${newer}/snapshots/00000000.snapshot.lz4`));
    expect(await restored(set.path, { generation: newer })).toBe("replica/generation");
  });

  it("refuses damage in a snapshot or a segment and names the file", async () => {
    using set = copyGenerations("daemon-v03");
    for (const name of ["snapshots/00000003.snapshot.lz4", "wal/00000003_00001038.wal.lz4"]) {
      const path = join(set.path, `generations/${newer}`, name);
      const sound = readFileSync(path);
      for (const bytes of [
        sound.with(40, (sound[40] ?? 0) ^ 1),
        sound.subarray(0, 100),
        new Uint8Array(0),
      ]) {
        writeFileSync(path, bytes);
        expect(await restored(set.path, { generation: newer })).toBe("replica/generation");
      }
      writeFileSync(path, sound);
    }
    // A segment of another WAL in the right place: sound by itself, but its salts are not.
    const [a, b] = ["00000003_00001038", "00000004_00001038"].map((name) =>
      join(set.path, `generations/${newer}/wal/${name}.wal.lz4`),
    );
    renameSync(b ?? "", a ?? "");
    expect(await restored(set.path, { generation: newer })).toBe("replica/generation");
  });

  it("leaves the old database or the whole new one when any file operation fails", async () => {
    using set = copyGenerations("daemon-v03");
    using directory = temporaryDirectory();
    const output = directory.file("app.db");
    const replica = pathToFileURL(set.path).href;
    const sha256 = (): string => createHash("sha256").update(readFileSync(output)).digest("hex");
    const attempt = async (failAt: number): Promise<number> => {
      let calls = 0;
      writeFileSync(output, "old");
      const fileSystem = createFaultyFileSystem(systemEnvironment().fileSystem, ({ index }) => {
        calls = index;
        return index === failAt ? "ENOSPC" : undefined;
      });
      const environment = { ...systemEnvironment(), fileSystem };
      const options = { replica, output, force: true, generation: newer, index: 2 };
      const failure: unknown = await restoreIn(environment, options).catch(
        (error: unknown) => error,
      );
      if (failure instanceof HeadwaterError) expect(failure.code).toBe("restore/output");
      const isNew = sha256() === recorded;
      expect(isNew ? "new" : readFileSync(output, "utf8")).toBe(isNew ? "new" : "old");
      return calls;
    };
    const point = set.restores.find((one) => one.generation === newer && one.index === "00000002");
    const recorded = point && recordedOf(point);
    const calls = await attempt(0);
    expect(sha256()).toBe(recorded);
    const step = Math.ceil(calls / 40);
    for (let failAt = 1; failAt <= calls; failAt += failAt > calls - 8 ? 1 : step) {
      await attempt(failAt);
    }
  });

  it("does not lean on modification times to restore a generation", async () => {
    using set = copyGenerations("daemon-v03");
    const directory = join(set.path, "generations", newer);
    for (const kind of ["snapshots", "wal"]) {
      for (const name of readdirSync(join(directory, kind))) {
        utimesSync(join(directory, kind, name), 2_000_000_000, 2_000_000_000);
      }
    }
    const latest = set.restores.find(({ what }) => what === "latest");
    expect(await restored(set.path, {})).toBe(latest && recordedOf(latest));
  });

  it("refuses points that exclude each other, and generations that are not there", async () => {
    using set = copyGenerations("daemon-v03");
    using empty = temporaryDirectory();
    const both = { generation: newer, txid: toTxid(1) };
    expect(await restored(set.path, both)).toBe("usage/invalid");
    expect(await restored(set.path, { index: 1 })).toBe("usage/invalid");
    expect(await restored(set.path, { generation: "0".repeat(16) })).toBe("replica/generation");
    expect(await restored(empty.path, { generation: newer })).toBe("replica/empty");
    expect(await restored(empty.path, {})).toBe("replica/empty");
  });
});

/** The files as objects of an S3 replica, LTX files under S3's keys. */
async function loadS3Store(path: string): Promise<ObjectStore> {
  const memory = createMemoryStore({ clock: systemEnvironment().clock });
  const names = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1));
  // In this order everything of 0.5 arrives later, as it did.
  for (const name of names.toSorted()) {
    const key = name.replace(/^ltx\/(?<level>\d)\//u, "000$<level>/");
    await memory.put(key, bodyOf(readFileSync(join(path, name))), {});
  }
  return new Proxy(memory, {
    get: (store, property) => {
      if (property === "url") return "s3://golden/app";
      const value: unknown = Reflect.get(store, property);
      return typeof value === "function" ? value.bind(store) : value;
    },
  });
}
