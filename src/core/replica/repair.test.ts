import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { replicaFile } from "../../../test/support/replica-file.ts";
import { sampleHistory } from "../../../test/support/replica-builder.ts";
import { toTxid } from "../ltx/txid.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { type ObjectStore, bodyOf } from "../store/object-store.ts";
import { createFaultyStore } from "../testing/faulty-store.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import type { ReplicaFile } from "./catalog.ts";
import { compact } from "./compact.ts";
import { type CompactionPlan, planCompaction } from "./plan-compaction.ts";
import { litestreamLayout as layout } from "./layout.ts";
import { inspectFile, planFill, planRebuild } from "./repair.ts";

const singles = Array.from({ length: 12 }, (_, n) => replicaFile(0, n + 1, n + 1));

function namesOf({ inputs, level, predecessor }: CompactionPlan): string {
  const names = inputs.map((one) => `${one.level}:${one.minTxid}-${one.maxTxid}`);
  return `${level} after ${predecessor?.maxTxid ?? "nothing"}: ${names.join(" ")}`;
}

function filled(files: readonly ReplicaFile[], level: number): string | undefined {
  const plan = planFill(files, level);
  return plan && namesOf(plan);
}

describe("planRebuild", () => {
  const damaged = replicaFile(1, 4, 6);

  it("takes the fewest files that hold exactly the same TXIDs, of whatever level", () => {
    const files = [...singles, replicaFile(1, 1, 3), damaged];
    expect(planRebuild(files, damaged)?.map(namesOf)).toEqual(["1 after 3: 0:4-4 0:5-5 0:6-6"]);
    expect(planRebuild([...files, replicaFile(2, 4, 6)], damaged)?.map(namesOf)).toEqual([
      "1 after 3: 2:4-6",
    ]);
    expect(planRebuild([replicaFile(0, 4, 5), ...singles, damaged], damaged)?.map(namesOf)).toEqual(
      ["1 after nothing: 0:4-5 0:6-6"],
    );
  });

  it("finds none where a TXID is nowhere else, or only in a file that holds more", () => {
    const files = singles.filter(({ minTxid }) => minTxid !== 5n);
    expect(planRebuild([...files, damaged], damaged)).toBeUndefined();
    expect(planRebuild([...files, replicaFile(2, 1, 6), damaged], damaged)).toBeUndefined();
  });

  it("makes several files of more than can be merged at once", () => {
    const many = Array.from({ length: 600 }, (_, n) => replicaFile(0, n + 1, n + 1));
    const plans = planRebuild(many, replicaFile(2, 1, 600));
    expect(plans?.map(({ inputs }) => inputs.length)).toEqual([256, 256, 88]);
  });
});

describe("planFill", () => {
  it("fills a hole from the level below, part by part", () => {
    const files = [...singles, replicaFile(1, 1, 3), replicaFile(1, 8, 9), replicaFile(1, 10, 12)];
    expect(filled(files, 1)).toBe("1 after 3: 0:4-4 0:5-5 0:6-6 0:7-7");
    const some = files.filter(({ level, minTxid }) => level > 0 || minTxid !== 5n);
    expect(filled(some, 1)).toBe("1 after 3: 0:4-4");
    expect(filled([...some, replicaFile(1, 4, 4)], 1)).toBe("1 after 4: 0:6-6 0:7-7");
    expect(filled([...some, replicaFile(1, 4, 4), replicaFile(1, 6, 7)], 1)).toBeUndefined();
  });

  it("leaves alone what is not missing: the end of the level, and what retention has deleted before its beginning", () => {
    expect(filled([...singles, replicaFile(1, 1, 3)], 1)).toBeUndefined();
    expect(filled(singles, 1)).toBeUndefined();
    const late = [...singles, replicaFile(1, 7, 9)];
    expect(filled([...late, replicaFile(9, 1, 8)], 1)).toBeUndefined();
    expect(filled([...late, replicaFile(9, 1, 5)], 1)).toBe("1 after nothing: 0:6-6");
    expect(filled(late, 1)).toMatch(/^1 after nothing: 0:1-1 .*0:6-6$/u);
  });

  it("does not take a file that reaches over the hole", () => {
    expect(
      filled(
        [replicaFile(1, 1, 6), replicaFile(1, 7, 12), replicaFile(2, 1, 3), replicaFile(2, 10, 12)],
        2,
      ),
    ).toBe(undefined);
  });

  it("in the end leaves no hole that could be filled, whatever is missing", () => {
    const anySubset = fc.subarray([1, 2, 3, 4, 5, 6, 7, 8].map((n) => n * 3 - 2));
    fc.assert(
      fc.property(anySubset, (present) => {
        const all = Array.from({ length: 24 }, (_, n) => replicaFile(0, n + 1, n + 1));
        const files = [...all, ...present.map((min) => replicaFile(1, min, min + 2))];
        for (let plan = planFill(files, 1); plan !== undefined; plan = planFill(files, 1)) {
          const [first] = plan.inputs;
          const last = plan.inputs.at(-1);
          files.push(replicaFile(1, Number(first?.minTxid), Number(last?.maxTxid)));
          expect(files.length).toBeLessThan(60);
        }
        const level1 = files.filter(({ level }) => level === 1);
        const newest = Math.max(0, ...level1.map(({ maxTxid }) => Number(maxTxid)));
        for (let txid = 1; txid <= newest; txid++) {
          const holders = level1.filter((one) => one.minTxid <= txid && one.maxTxid >= txid);
          expect(holders).toHaveLength(1);
        }
        // What comes after the newest is the business of compaction.
        expect(planCompaction(files, { level: 1 })?.inputs[0]?.minTxid ?? 25n).toBe(
          BigInt(newest + 1),
        );
      }),
    );
  });
});

describe("a damaged file", () => {
  const history = sampleHistory();
  const clock = new VirtualClock();

  async function storeWith(
    bytesByKey: ReadonlyMap<string, Uint8Array>,
  ): Promise<{ store: ObjectStore; files: readonly ReplicaFile[] }> {
    const store = createMemoryStore({ clock });
    const files: ReplicaFile[] = [];
    for (const [key, bytes] of bytesByKey) {
      const name = layout.parse(key);
      if (name === undefined) throw new Error(key);
      files.push({ ...name, ...(await store.put(key, bodyOf(bytes), {})) });
    }
    return { store, files };
  }

  async function damagedReplica(): ReturnType<typeof storeWith> {
    const bytesByKey = new Map<string, Uint8Array>();
    for (let n = 1; n <= 6; n++) {
      bytesByKey.set(replicaFile(0, n, n).key, await history.fileOf({ min: n, max: n }));
    }
    bytesByKey.set(replicaFile(1, 1, 3).key, await history.fileOf({ min: 1, max: 3 }));
    const bad = await history.fileOf({ min: 4, max: 6 });
    bad[300] = (bad[300] ?? 0) ^ 4;
    bytesByKey.set(replicaFile(1, 4, 6).key, bad);
    return storeWith(bytesByKey);
  }

  it("is told from a sound one, a missing one, and a connection that breaks", async () => {
    const { store, files } = await damagedReplica();
    const { codec } = history;
    const [sound, bad] = files.filter(({ level }) => level === 1);
    if (sound === undefined || bad === undefined) throw new Error("two files");
    expect(await inspectFile(sound, { store, codec })).toBe("sound");
    expect(await inspectFile(bad, { store, codec })).toBe("damaged");
    expect(await inspectFile(replicaFile(1, 7, 9), { store, codec })).toBe("gone");
    const renamed = { ...sound, minTxid: toTxid(2) };
    expect(await inspectFile(renamed, { store, codec })).toBe("damaged");
    const cut = createFaultyStore(store, {
      clock,
      plan: () => ({ kind: "cut", afterBytes: 200 }),
    });
    await expect(inspectFile(sound, { store: cut, codec })).rejects.toMatchObject({
      code: "store/unavailable",
    });
  });

  it.each([true, false])(
    "is replaced by the file made anew, also where the store cannot replace in one step (%s)",
    async (replaceIfUnchanged) => {
      const { store, files } = await damagedReplica();
      const { codec } = history;
      const limited: ObjectStore = {
        ...createFaultyStore(store, { clock, plan: () => undefined }),
        features: async (waiting) => ({ ...(await store.features(waiting)), replaceIfUnchanged }),
      };
      const bad = files.find(({ level, minTxid }) => level === 1 && minTxid === 4n);
      const [plan] = (bad && planRebuild(files, bad)) ?? [];
      if (plan === undefined || bad === undefined) throw new Error("a plan");
      const options = { store: limited, layout, codec, replaces: bad.etag };
      const { file: made } = await compact(plan, options);
      expect(made.key).toBe(bad.key);
      expect(await inspectFile(made, { store, codec })).toBe("sound");
    },
  );

  it("is not replaced if it is another one by now", async () => {
    const { store, files } = await damagedReplica();
    const bad = files.find(({ level, minTxid }) => level === 1 && minTxid === 4n);
    const [plan] = (bad && planRebuild(files, bad)) ?? [];
    if (plan === undefined) throw new Error("a plan");
    const options = { store, layout, codec: history.codec, replaces: "another" };
    await expect(compact(plan, options)).rejects.toMatchObject({ code: "store/changed" });
  });
});
