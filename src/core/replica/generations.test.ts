import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { replicaFile } from "../../../test/support/replica-file.ts";
import { hasCode } from "../base/errors.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { bodyOf } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import {
  type GenerationFile,
  type GenerationTarget,
  listGenerations,
  planGenerations,
  prefersGenerations,
  restorableFiles,
} from "./generations.ts";

const a = "aaaaaaaaaaaaaaaa";
const b = "bbbbbbbbbbbbbbbb";

function file(
  generation: string,
  index: number,
  offset: number | undefined,
  timestampMs: number,
): GenerationFile {
  const key = `${generation} ${index} ${offset ?? "snapshot"}`;
  return { generation, index, offset, sizeBytes: 100, timestampMs, key, etag: key };
}

function ltxFile(level: number, timestampMs: number): ReplicaFile {
  return replicaFile(level, 1, 1, { timestampMs });
}

/** Two generations, each with a snapshot per second index. */
const sample: readonly GenerationFile[] = [
  file(a, 0, undefined, 100),
  file(a, 0, 0, 110),
  file(a, 0, 4152, 120),
  file(a, 1, 0, 200),
  file(a, 2, undefined, 290),
  file(a, 2, 0, 300),
  file(b, 0, undefined, 400),
  file(b, 0, 0, 410),
  file(b, 1, 0, 500),
];

function planned(files: readonly GenerationFile[], target: GenerationTarget): readonly string[] {
  const { snapshot, segments } = planGenerations(files, target);
  return [snapshot, ...segments].map(({ key }) => key);
}

function refusal(files: readonly GenerationFile[], target: GenerationTarget): unknown {
  try {
    return planned(files, target);
  } catch (error) {
    return error;
  }
}

describe("listGenerations", () => {
  it("reads snapshots and segments, offsets above 4 GiB included, and skips every other name", async () => {
    const clock = { nowMs: () => 5, monotonicMs: () => 0, sleep: async () => {} };
    const store = createMemoryStore({ clock });
    for (const key of [
      `generations/${a}/snapshots/0000000a.snapshot.lz4`,
      `generations/${a}/wal/0000000a_00000000.wal.lz4`,
      `generations/${a}/wal/0000000a_123456789.wal.lz4`,
      `generations/${a}/wal/0000000a_00000000.wal.lz4.tmp`,
      `generations/${a}/wal/a_0.wal.lz4`,
      `generations/short/snapshots/0000000a.snapshot.lz4`,
      `generations/${a}/notes`,
      "ltx/0/0000000000000001-0000000000000001.ltx",
    ]) {
      await store.put(key, bodyOf(new Uint8Array(3)), {});
    }
    const found = await listGenerations(store, {});
    expect(found.map(({ index, offset }) => [index, offset])).toEqual([
      [10, undefined],
      [10, 0],
      [10, 0x1_2345_6789],
    ]);
    expect(found[0]).toMatchObject({ generation: a, sizeBytes: 3, timestampMs: 5 });
  });
});

describe("planGenerations", () => {
  it("takes the newest generation whole for the newest state, in whatever order files are listed", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...sample], { minLength: sample.length }), (files) => {
        expect(planned(files, { kind: "latest" })).toEqual([
          `${b} 0 snapshot`,
          `${b} 0 0`,
          `${b} 1 0`,
        ]);
      }),
    );
  });

  it.each<readonly [number, readonly string[], number | undefined]>([
    [100, [`${a} 0 snapshot`], 110],
    [119, [`${a} 0 snapshot`, `${a} 0 0`], 120],
    [250, [`${a} 0 snapshot`, `${a} 0 0`, `${a} 0 4152`, `${a} 1 0`], undefined],
    [300, [`${a} 2 snapshot`, `${a} 2 0`], undefined],
    [405, [`${b} 0 snapshot`], 410],
  ])("takes what is stamped up to time %d", (atMs, expected, nextMs) => {
    const { next } = planGenerations(sample, { kind: "time", atMs });
    expect(planned(sample, { kind: "time", atMs })).toEqual(expected);
    expect(next?.timestampMs).toBe(nextMs ?? (atMs === 250 ? 300 : undefined));
  });

  it("restores a generation up to an index, from the last snapshot not above it", () => {
    const at = (index: number | undefined): readonly string[] =>
      planned(sample, { kind: "index", generation: a, index });
    expect(at(1)).toEqual([`${a} 0 snapshot`, `${a} 0 0`, `${a} 0 4152`, `${a} 1 0`]);
    expect(at(9)).toEqual([`${a} 2 snapshot`, `${a} 2 0`]);
    expect(at(undefined)).toEqual(at(9));
  });

  it("ignores what lies before the snapshot, and refuses what is missing after it", () => {
    const without = (key: string): readonly GenerationFile[] =>
      sample.filter((one) => one.key !== key && one.generation === a);
    expect(planned(without(`${a} 0 0`), { kind: "latest" })).toEqual([
      `${a} 2 snapshot`,
      `${a} 2 0`,
    ]);
    const index = { kind: "index", generation: a, index: 1 } as const;
    expect(hasCode(refusal(without(`${a} 0 0`), index), "replica/gap")).toBe(true);
    const noImage = without(`${a} 2 snapshot`);
    const hole = noImage.filter((one) => one.key !== `${a} 1 0`);
    expect(planned(noImage, { kind: "latest" })).toHaveLength(5);
    expect(String(refusal(hole, { kind: "latest" }))).toContain(
      `--generation ${a} --index 00000000`,
    );
    // A hole after the time asked for is no concern.
    expect(planned(hole, { kind: "time", atMs: 150 })).toHaveLength(3);
  });

  it("says what is wrong where no snapshot fits", () => {
    const failures = [
      refusal(sample, { kind: "time", atMs: 99 }),
      refusal(sample, { kind: "index", generation: "c".repeat(16), index: undefined }),
      refusal([file(a, 0, 0, 1)], { kind: "latest" }),
      refusal([], { kind: "latest" }),
    ];
    const codes = [
      "replica/unreachable-time",
      "replica/generation",
      "replica/gap",
      "replica/empty",
    ] as const;
    for (const [n, code] of codes.entries()) expect(hasCode(failures[n], code)).toBe(true);
  });
});

describe("prefersGenerations", () => {
  it("takes the only format there is", () => {
    expect(prefersGenerations([], sample, undefined)).toBe(true);
    expect(prefersGenerations([ltxFile(0, 1)], [], 900)).toBe(false);
    expect(prefersGenerations([], [], undefined)).toBe(false);
  });

  it("takes whichever has the newest file for the newest state", () => {
    expect(prefersGenerations([ltxFile(0, 499)], sample, undefined)).toBe(true);
    expect(prefersGenerations([ltxFile(0, 500)], sample, undefined)).toBe(false);
  });

  it("takes whichever has the newer full image before a time; level 0 holds none", () => {
    expect(prefersGenerations([ltxFile(0, 450)], sample, 460)).toBe(true);
    expect(prefersGenerations([ltxFile(9, 450)], sample, 460)).toBe(false);
    expect(prefersGenerations([ltxFile(9, 460)], sample, 460)).toBe(true);
    expect(prefersGenerations([ltxFile(9, 50)], sample, 60)).toBe(false);
  });
});

function keys(files: readonly GenerationFile[]): readonly string[] {
  return restorableFiles(files).map(({ key }) => key);
}

it("lists the files whose end can be restored", () => {
  expect(keys(sample.toReversed())).toEqual(sample.map(({ key }) => key));
  const holes = sample.filter(({ key }) => ![`${a} 1 0`, `${b} 0 0`].includes(key));
  expect(keys(holes)).toEqual([
    `${a} 0 snapshot`,
    `${a} 0 0`,
    `${a} 0 4152`,
    `${a} 2 snapshot`,
    `${a} 2 0`,
    `${b} 0 snapshot`,
  ]);
});
