// Every restore point that the golden manifests record, restored from files alone.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mapConcurrent } from "../../core/base/async.ts";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import { type GoldenSet, copyGolden, goldenSetNames } from "../../../test/support/golden.ts";
import { loadGoldenS3 } from "../../../test/support/golden-s3.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { type Environment, systemEnvironment } from "./environment.ts";
import { type RestoreOptions, restoreIn } from "./restore.ts";

/** They mostly wait for the disk. */
const restoresAtOnce = 8;

describe.each(goldenSetNames())("golden set %s", (name) => {
  let set: GoldenSet & Disposable;
  let environment: Environment;
  let replica: string;
  beforeAll(async () => {
    set = copyGolden(name);
    environment = systemEnvironment();
    replica = pathToFileURL(set.path).href;
    if (name === "daemon-s3-4096") {
      const store = await loadGoldenS3(set);
      environment = { ...environment, openReplica: () => Promise.resolve(store) };
    }
  });
  afterAll(() => set[Symbol.dispose]());

  /** The SHA-256 of the restored database, or the code of the refusal. */
  async function restored(point: Partial<RestoreOptions>): Promise<string> {
    using directory = temporaryDirectory();
    const output = join(directory.path, "restored.db");
    const code = await restoreIn(environment, { replica, output, ...point }).then(
      () => undefined,
      (error: unknown) => (error instanceof HeadwaterError ? error.code : Promise.reject(error)),
    );
    expect(readdirSync(directory.path)).toEqual(code === undefined ? ["restored.db"] : []);
    return code ?? createHash("sha256").update(readFileSync(output)).digest("hex");
  }

  it("restores every TXID to its recorded bytes and refuses the others", async () => {
    const found = await mapConcurrent(
      set.restores,
      restoresAtOnce,
      async ({ txid }) => `${txid} ${await restored({ txid })}`,
    );
    expect(found).toEqual(
      set.restores.map(({ txid, sha256 }) => `${txid} ${sha256 ?? "replica/unreachable-txid"}`),
    );
  });

  it("restores the newest TXID when no point is named", async () => {
    const newest = set.restores.findLast(({ sha256 }) => sha256 !== undefined);
    expect(await restored({})).toBe(newest?.sha256);
  });

  it("restores to times as Litestream does, and where it refuses, to the right state or not at all", async () => {
    for (const { timestampMs, sha256 } of set.timestampRestores) {
      if (timestampMs === null) continue;
      const found = await restored({ timestamp: new Date(timestampMs) });
      const expected = sha256 ?? expectedByTxidTimes(timestampMs);
      expect(`${timestampMs} ${found}`).toBe(`${timestampMs} ${expected}`);
    }
  });

  it("restores captured TXIDs by the millisecond after them", async () => {
    const sha256ByTxid = new Map(set.restores.map(({ txid, sha256 }) => [txid, sha256]));
    const captured = set.files.filter(
      ({ level, maxTxid }) => level === 0 && sha256ByTxid.get(maxTxid) !== undefined,
    );
    const some = captured.filter((_, n) => n % Math.ceil(captured.length / 20) === 0);
    const found = await mapConcurrent(some, restoresAtOnce, async ({ maxTxid, timestampMs }) => {
      return `${maxTxid} ${await restored({ timestamp: new Date(timestampMs + 1) })}`;
    });
    expect(found).toEqual(some.map(({ maxTxid }) => `${maxTxid} ${sha256ByTxid.get(maxTxid)}`));
  });

  /** Litestream refuses times that it could serve: the newest TXID stamped before the time decides for us. */
  function expectedByTxidTimes(timestampMs: number): string {
    const before = set.files.filter((file) => file.timestampMs < timestampMs);
    const reached = before.reduce((txid, file) => (file.maxTxid > txid ? file.maxTxid : txid), 0n);
    const point = set.restores.findLast(
      ({ txid, sha256 }) => txid <= reached && sha256 !== undefined,
    );
    return point?.sha256 ?? "replica/unreachable-time";
  }
});

it("counts on headers, not on modification times, when a replica was copied without them", async () => {
  using set = copyGolden("many-4096");
  using directory = temporaryDirectory();
  const file = set.files[30];
  const { utimesSync } = await import("node:fs");
  for (const { path } of set.files) utimesSync(join(set.path, path), new Date(), new Date());
  const result = await restoreIn(systemEnvironment(), {
    replica: pathToFileURL(set.path).href,
    output: join(directory.path, "restored.db"),
    timestamp: new Date((file?.timestampMs ?? 0) + 1),
  });
  expect(result.txid).toBe(file?.maxTxid);
});

it("restores the state without a later snapshot where Litestream's bug left two", async () => {
  using set = copyGolden("quirk-daemon-downtime-gap-4096");
  using directory = temporaryDirectory();
  rmSync(join(set.path, "ltx/9/0000000000000001-0000000000000004.ltx"));
  const output = join(directory.path, "restored.db");
  await restoreIn(systemEnvironment(), { replica: pathToFileURL(set.path).href, output });
  const expected = set.manifest["withoutLastSnapshot"] as { readonly dbSha256: string };
  expect(createHash("sha256").update(readFileSync(output)).digest("hex")).toBe(expected.dbSha256);
});

it("refuses the damaged database that Litestream's bug left when an integrity check is asked for", async () => {
  using set = copyGolden("quirk-daemon-downtime-corrupt-4096");
  using directory = temporaryDirectory();
  const output = join(directory.path, "restored.db");
  const replica = pathToFileURL(set.path).href;
  for (const integrityCheck of ["quick", "full"] as const) {
    const failure: unknown = await restoreIn(systemEnvironment(), {
      replica,
      output,
      integrityCheck,
    }).catch((error: unknown) => error);
    expect(hasCode(failure, "restore/integrity")).toBe(true);
    const rows = failure instanceof HeadwaterError ? failure.data["rows"] : undefined;
    expect(rows).toContain("wrong # of entries in index t_b");
    expect(existsSync(output)).toBe(false);
  }
  expect(readdirSync(directory.path)).toEqual([]);
  const { txid } = await restoreIn(systemEnvironment(), { replica, output });
  expect(txid).toBe(3n);
});
