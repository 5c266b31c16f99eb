// Headwater and Litestream read each other's replicas. Litestream is its own Go code here (support/official-vfs.ts).
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { openCodec } from "../src/core/codec/codec.ts";
import { mergeLtx } from "../src/core/ltx/merge.ts";
import { toTxid } from "../src/core/ltx/txid.ts";
import { restore } from "../src/node/restore/restore.ts";
import { copyGolden } from "./support/golden.ts";
import { sha256OfFile } from "./support/live-image.ts";
import { chunked, collect } from "./support/ltx.ts";
import { officialHydrate, officialQuery, officialWrite } from "./support/official-vfs.ts";
import { writeLtx } from "./support/replica-builder.ts";
import { databaseStates, historyOf } from "./support/sqlite-history.ts";
import { temporaryDirectory } from "./support/temporary.ts";

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** 40 rows of 800 random bytes. */
function insertRows(n: number): string {
  return `WITH RECURSIVE row(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM row WHERE id < 40)
    INSERT INTO t SELECT id + ${n * 1000}, randomblob(800) FROM row`;
}

describe("Litestream's code", () => {
  const sets = [
    "basic-4096",
    "seeded-65536",
    "multilevel-4096",
    "daemon-levels-4096",
    "daemon-legacy-0.5.0",
  ];

  it.for(sets)("restores the golden set %s to the hash on record", async (name) => {
    using golden = copyGolden(name);
    using directory = temporaryDirectory();
    const head = golden.restores.findLast((point) => point.sha256 !== undefined);
    await expect(
      officialHydrate(`file://${golden.path}`, directory.file("out.db")),
    ).resolves.toEqual(head);
  });

  it.for([512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])(
    "restores what Headwater wrote with pages of %i bytes, grown, shrunk and grown again",
    async (pageSize) => {
      using directory = temporaryDirectory();
      const states = databaseStates(pageSize);
      for (const count of [states.length - 1, states.length]) {
        const replica = directory.file(`replica-${count}`);
        await historyOf(states.slice(0, count), pageSize).writeLevel0(replica);
        const restored = await officialHydrate(`file://${replica}`, directory.file(`${count}.db`));
        const expected = states[count - 1] ?? new Uint8Array(0);
        expect(restored).toEqual({ txid: BigInt(count), sha256: sha256(expected) });
      }
      // Page by page, through our page index: of 401 rows 57 are left, then each is doubled.
      const newest = directory.url(`replica-${states.length}`);
      const sql = "SELECT count(*) AS count, sum(id < 10000) AS old FROM t";
      await expect(officialQuery(newest, sql)).resolves.toEqual([{ count: 114, old: 57 }]);
    },
  );
});

it("both restore a replica of files that Headwater merged, a shrink among them", async () => {
  using directory = temporaryDirectory();
  const states = databaseStates(1024);
  const history = historyOf(states, 1024);
  for (const range of [
    { level: 9, min: 1, max: 2 },
    { level: 1, min: 3, max: 4 },
  ]) {
    const inputs = [range.min, range.max].map(async (txid) => {
      const bytes = await history.fileOf({ min: txid, max: txid });
      return { name: `TXID ${txid}`, chunks: chunked(bytes) };
    });
    const merged = await collect(mergeLtx(openCodec(), await Promise.all(inputs)));
    writeLtx(directory.file("replica"), range, merged);
  }
  const replica = directory.url("replica");
  const output = directory.file("ours.db");
  const official = await officialHydrate(replica, directory.file("official.db"));
  await expect(restore({ replica, output })).resolves.toMatchObject({ txid: 4n, proof: "proved" });
  const expected = sha256(states[3] ?? new Uint8Array(0));
  expect(official).toEqual({ txid: 4n, sha256: expected });
  await expect(sha256OfFile(output)).resolves.toBe(expected);
});

describe("Headwater", () => {
  it("restores what Litestream's code wrote, shrunk by VACUUM, as that code does", async () => {
    using directory = temporaryDirectory();
    const replica = directory.url("replica");
    await officialWrite(replica, [
      "CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)",
      ...[1, 2, 3].map((n) => insertRows(n)),
      "DELETE FROM t WHERE id % 9 <> 0",
      "VACUUM",
    ]);
    const { txid, sha256: expected } = await officialHydrate(
      replica,
      directory.file("official.db"),
    );
    const output = directory.file("ours.db");
    await expect(restore({ replica, output, integrityCheck: "full" })).resolves.toMatchObject({
      txid,
      proof: "unproved",
    });
    await expect(sha256OfFile(output)).resolves.toBe(expected);
  });

  it.for([512, 4096, 65536])(
    "proves what it wrote itself with pages of %i bytes, at every TXID",
    async (pageSize) => {
      using directory = temporaryDirectory();
      const states = databaseStates(pageSize);
      await historyOf(states, pageSize).writeLevel0(directory.file("replica"));
      for (const [index, state] of states.entries()) {
        const output = directory.file(`${index}.db`);
        const txid = toTxid(index + 1);
        await expect(
          restore({ replica: directory.url("replica"), output, txid }),
        ).resolves.toMatchObject({
          txid,
          proof: "proved",
        });
        await expect(sha256OfFile(output)).resolves.toBe(sha256(state));
      }
    },
  );

  it("restores a replica that Headwater began and Litestream's code continued", async () => {
    using directory = temporaryDirectory();
    const replica = directory.url("replica");
    const states = databaseStates(4096);
    await historyOf(states.slice(0, 2), 4096).writeLevel0(directory.file("replica"));
    await officialWrite(replica, ["UPDATE t SET text = 'changed' WHERE id < 50"]);
    const official = await officialHydrate(replica, directory.file("official.db"));
    const output = directory.file("ours.db");
    await expect(restore({ replica, output })).resolves.toMatchObject({
      txid: official.txid,
      proof: "unproved",
    });
    await expect(sha256OfFile(output)).resolves.toBe(official.sha256);
  });
});
