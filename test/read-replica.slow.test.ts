// Random moments and random queries, on a replica that is written, merged and thinned meanwhile, against what the
// application itself answered at that moment.
import { expect, it } from "vitest";
import { must } from "../src/core/base/assert.ts";
import { hasCode } from "../src/core/base/errors.ts";
import { formatTxid, parseTxid } from "../src/core/ltx/txid.ts";
import type { Txid } from "../src/core/ltx/txid.ts";
import { createSeededRandom } from "../src/core/testing/seeded-random.ts";
import { openReplica } from "../src/node/vfs/open-replica.ts";
import { engineReady, engineStatus, syncEngine } from "./support/engine.ts";
import { all } from "./support/replica-queries.ts";
import { Scene } from "./support/scene.ts";
import { workloadSchema } from "./support/workload.ts";

const pairs = 1000;
const commits = 80;

/** Over the tables of the workload; `$` stands for the schema. */
const queries = [
  "SELECT seq, sum FROM $.progress",
  "SELECT count(*) AS n, sum(id) AS ids, sum(length(body)) AS bytes FROM $.item",
  "SELECT count(*) AS n FROM $.item INDEXED BY item_name WHERE name > '8'",
  "SELECT group_concat(id) AS ids FROM (SELECT id FROM $.item WHERE id % 3 = 0 ORDER BY name LIMIT 20)",
  "SELECT count(*) AS n, total(length(sql)) AS bytes FROM $.sqlite_schema",
  "SELECT hex(substr(body, -8)) AS tail FROM $.item ORDER BY length(body) DESC, id LIMIT 3",
] as const;

function queryOn(schema: string, index: number): string {
  return (queries[index] ?? "").replaceAll("$", schema);
}

it("1000 random moments and queries give what the application saw, while compaction and retention run", async () => {
  const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);
  console.log(`HEADWATER_SEED=${seed}`);
  const random = createSeededRandom(seed);
  const pick = (count: number): number => Math.floor(random.float() * count);
  await using scene = await Scene.open({ transactions: 0 });
  const engine = scene.engine({
    syncIntervalMs: 20,
    levels: [300, 1000, 3000],
    snapshotIntervalMs: 4000,
    snapshotRetentionMs: 60_000,
    l0RetentionMs: 2000,
    retentionGraceMs: 500,
  });
  await scene.app.exec(`PRAGMA auto_vacuum=2; VACUUM; ${workloadSchema}`);
  await engineReady(engine);

  const truth: { readonly txid: Txid; readonly answers: readonly unknown[] }[] = [];
  const commit = async (): Promise<void> => {
    await scene.app.workload({ seed: pick(1e6), transactions: 2, vacuum: true, maxRows: 60 });
    const answers: unknown[] = [];
    for (const index of queries.keys()) answers.push(await scene.app.all(queryOn("main", index)));
    const txid = must(parseTxid(await syncEngine(engine)), "TXID");
    truth.push({ txid, answers });
  };

  await commit();
  await using db = await openReplica(scene.replica, { cacheBytes: 1 << 20 });
  let answered = 0;
  let gone = 0;
  for (let pair = 0; pair < pairs; pair++) {
    if (truth.length < 1 + (pair * commits) / pairs) await commit();
    const { txid, answers } = must(truth[pick(truth.length)], "a recorded moment");
    const index = pick(queries.length);
    try {
      await all(db, `ATTACH 'file:replica?txid=${formatTxid(txid)}' AS past`);
    } catch (error) {
      // Thinned by retention: the nearest point after it holds its transactions.
      if (!hasCode(error, "replica/unreachable-txid")) throw error;
      gone++;
      continue;
    }
    const rows = await all(db, queryOn("past", index)).catch((error: unknown) => {
      // Thinned since it was attached.
      if (!hasCode(error, "view/too-old")) throw error;
      return undefined;
    });
    await all(db, "DETACH past");
    if (rows === undefined) {
      gone++;
      continue;
    }
    expect({ txid, rows }).toEqual({ txid, rows: answers[index] });
    answered++;
    if (pair % 10 !== 0) continue;
    await db.refresh();
    const newest = truth.find((one) => one.txid === db.txid);
    if (newest !== undefined) {
      expect(await all(db, queryOn("main", index))).toEqual(newest.answers[index]);
    }
  }
  const { levels } = await engineStatus(engine);
  console.log({ answered, gone, compactions: levels.compactions, deleted: levels.deletedFiles });
  expect(answered).toBeGreaterThan(pairs / 4);
  expect(levels.compactions).toBeGreaterThan(5);
});
