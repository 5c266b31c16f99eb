// What is told about a replica, and whether it fits its database.
import { writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ltxPath, sampleHistory } from "../../../test/support/replica-builder.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { litestreamLayout } from "../../core/replica/layout.ts";
import { createMemoryStore } from "../../core/store/memory-store.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { createFaultyStore } from "../../core/testing/faulty-store.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { systemClock } from "../base/clock.ts";
import { openReplicaStore } from "../restore/environment.ts";
import { checkAgreement, checkReplica } from "./replica-checks.ts";
import type { NewestFile } from "./replica-checks.ts";
import type { Check } from "./report.ts";

const history = sampleHistory();
const files = [1, 2, 3, 4].map((txid) => ({ level: 0, min: txid, max: txid }));

interface Told {
  readonly newest: NewestFile | undefined;
  /** `name result`, in order. */
  readonly results: readonly string[];
  readonly checks: readonly Check[];
}

async function told(store: ObjectStore): Promise<Told> {
  const checks: Check[] = [];
  const options = { clock: systemClock, layout: litestreamLayout };
  const newest = await checkReplica(store, options, (check) => checks.push(check));
  return { newest, checks, results: checks.map(({ name, result }) => `${name} ${result}`) };
}

it("a sound replica is described", async () => {
  using directory = temporaryDirectory();
  await history.writeFiles(directory.path, files);
  await using store = await openReplicaStore(directory.url(""));
  const { newest, results, checks } = await told(store);
  expect(results).toEqual(["replica ok", "newest-file ok", "gaps ok"]);
  expect(checks[0]?.found).toMatch(/^4 files \(4 at level 0\), /u);
  expect(newest).toEqual({ txid: 4n, pageSize: history.pageSize });
});

it("a hole and a newest file that is no LTX are problems", async () => {
  using directory = temporaryDirectory();
  await history.writeFiles(directory.path, [...files.slice(0, 2), ...files.slice(3)]);
  writeFileSync(ltxPath(directory.path, { level: 0, min: 4, max: 4 }), "not LTX");
  await using store = await openReplicaStore(directory.url(""));
  const { newest, results, checks } = await told(store);
  expect(results).toEqual(["replica ok", "newest-file problem", "gaps problem"]);
  expect(checks[2]?.found).toContain("0000000000000003 to 0000000000000004");
  expect(newest).toBeUndefined();
});

it("a backup of Litestream 0.3 is mentioned, and a store that fails is reported", async () => {
  const clock = new VirtualClock();
  const store = createMemoryStore({ clock });
  const key = "generations/0123456789abcdef/snapshots/00000000.snapshot.lz4";
  await store.put(key, bodyOf(new Uint8Array(1)), {});
  const { results, checks } = await told(store);
  expect(results).toEqual(["replica note"]);
  expect(checks[0]?.found).toContain("1 file of a Litestream 0.3 backup");
  const broken = createFaultyStore(store, { clock, plan: () => ({ kind: "fail" }) });
  expect((await told(broken)).results).toEqual(["replica problem"]);
});

it("a replica is compared with its database and the local record", () => {
  const newest = { txid: 5n, pageSize: 4096 };
  const judged = (pageSize: number | undefined, acknowledgedTxid: bigint | undefined): string =>
    checkAgreement(newest, { pageSize, acknowledgedTxid }).result;
  expect(judged(4096, 5n)).toBe("ok");
  expect(judged(undefined, undefined)).toBe("ok");
  expect(judged(8192, 5n)).toBe("problem");
  expect(judged(4096, 6n)).toBe("problem");
  expect(judged(4096, 4n)).toBe("note");
});
