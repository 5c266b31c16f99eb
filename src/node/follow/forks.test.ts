// Random histories that part at random places: whatever the files of the replica look like, a follower ends at the exact state.
import { statSync } from "node:fs";
import { expect, it } from "vitest";
import { HealingScene, single } from "../../../test/support/healing-scene.ts";
import type { FileRange } from "../../../test/support/replica-builder.ts";
import type { Random } from "../../core/base/random.ts";
import { createSeededRandom } from "../../core/testing/seeded-random.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);
const rounds = 12;

it(`is followed across random forks (HEADWATER_SEED=${seed})`, async () => {
  const random = createSeededRandom(seed);
  const below = (limit: number): number => Math.floor(random.float() * limit);
  for (let round = 0; round < rounds; round++) {
    const steps = { left: randomSteps(random), right: randomSteps(random) };
    using healing = new HealingScene(steps);
    const { scene, fork } = healing;
    await scene.publish(1, 3);
    if (below(2) === 0) {
      await scene.history.writeFiles(scene.replicaPath, [{ level: 9, min: 1, max: 1 + below(3) }]);
    }
    const follower = await healing.followToEnd();
    const isDamaged = below(2) === 0;
    if (isDamaged) healing.damagePage(2 + below(statSync(scene.output).size / 4096 - 1));
    const head = 4 + below(fork.right.length - 3);
    await healing.goAnotherWay(4, randomFiles(random, head));
    if (below(3) === 0) await healing.writeChecksumFiles();
    expect(await follower.catchUp(), `round ${round}`).toBe(BigInt(head));
    for (let txid = head + 1; txid <= fork.right.length; txid++) {
      await healing.right.writeFiles(scene.replicaPath, [single(txid)]);
      await follower.catchUp();
    }
    // Where it is damaged, nothing has told yet that the replica went another way.
    if (!isDamaged) expect(follower.events, `round ${round}`).not.toContain("follow.pages-failed");
    await follower[Symbol.asyncDispose]();
    // Two states can be the same: not every step finds what it deletes.
    expect(scene.stateOf(scene.output, fork.right.slice(-1)), `round ${round}`).toBe(1);
  }
});

/** Changes, growth and shrinks. */
function randomSteps(random: Random): readonly string[] {
  const count = 1 + Math.floor(random.float() * 4);
  return Array.from({ length: count }, () => {
    const id = 1 + Math.floor(random.float() * 400);
    const steps = [
      `UPDATE t SET body = randomblob(3500) WHERE id BETWEEN ${id} AND ${id + 5}`,
      `INSERT INTO t SELECT 1000 + max(id), randomblob(30000) FROM t`,
      `DELETE FROM t WHERE id > ${Math.max(300, id)}`,
      `DELETE FROM t WHERE id BETWEEN ${id} AND ${id + 9}`,
      `CREATE TABLE IF NOT EXISTS other(x); INSERT INTO other VALUES(randomblob(5000))`,
    ];
    return steps[Math.floor(random.float() * steps.length)] ?? "";
  });
}

/** Files of TXID 4 to `head` in any cut, overlapping what lies before or not, with an image or without. */
function randomFiles(random: Random, head: number): readonly FileRange[] {
  const files: FileRange[] = [];
  for (let min = 4; min <= head;) {
    const max = min + Math.floor(random.float() * (head - min + 1));
    const from = random.float() < 0.3 ? Math.max(2, min - 1) : min;
    files.push(from === max ? single(max) : { level: 1, min: from, max });
    min = max + 1;
  }
  if (random.float() < 0.3) files.push({ level: 9, min: 1, max: head });
  return files;
}
