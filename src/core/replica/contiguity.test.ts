import { expect, it } from "vitest";
import { replicaFile } from "../../../test/support/replica-file.ts";
import type { ReplicaFile } from "./catalog.ts";
import { findContiguityFaults } from "./contiguity.ts";

function file(level: number, min: number, max: number): ReplicaFile {
  return replicaFile(level, min, max, { key: `${level}:${min}-${max}` });
}

function faultsOf(...files: readonly ReplicaFile[]): readonly string[] {
  return findContiguityFaults(files).map(
    ({ level, kind, from, to, file: later }) => `${kind} ${level}: ${from}-${to} at ${later.key}`,
  );
}

it("finds nothing where files follow each other, wherever the level begins, nor among full images", () => {
  expect(
    faultsOf(
      file(0, 7, 7),
      file(0, 8, 8),
      file(1, 1, 3),
      file(1, 4, 8),
      file(9, 1, 1),
      file(9, 1, 8),
    ),
  ).toEqual([]);
});

it("names what is missing and what is there twice, in each level by itself", () => {
  expect(
    faultsOf(file(0, 8, 8), file(0, 1, 1), file(0, 4, 5), file(1, 1, 3), file(1, 3, 9)),
  ).toEqual(["gap 0: 2-3 at 0:4-5", "gap 0: 6-7 at 0:8-8", "overlap 1: 3-3 at 1:3-9"]);
});

it("measures a gap from the end of what came before, not from its last file", () => {
  expect(faultsOf(file(2, 1, 9), file(2, 2, 3), file(2, 10, 12), file(2, 14, 14))).toEqual([
    "overlap 2: 2-3 at 2:2-3",
    "gap 2: 13-13 at 2:14-14",
  ]);
});
