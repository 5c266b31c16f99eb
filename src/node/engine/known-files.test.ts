import { expect, it } from "vitest";
import { replicaFile } from "../../../test/support/replica-file.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { KnownFiles } from "./known-files.ts";

function file(txid: number): ReplicaFile {
  return replicaFile(0, txid, txid, { timestampMs: txid });
}

function txids(known: KnownFiles): readonly bigint[] {
  return known.files.map(({ maxTxid }) => maxTxid);
}

it("keeps up with what is put and deleted, also while it is being listed", async () => {
  const known = new KnownFiles();
  await known.load(async () => {
    known.add(file(3), 0);
    return [file(1), file(2)];
  });
  known.add(file(4), 0);
  known.remove([file(1)]);
  expect(txids(known)).toEqual([2n, 3n, 4n]);
});

it("believes no listing during which something came into doubt", async () => {
  const known = new KnownFiles();
  await known.load(async () => {
    known.forget();
    return [file(1)];
  });
  expect(known.isLoaded).toBe(false);
  expect(txids(known)).toEqual([]);
});

it("knows when a file was put, whatever its header says", async () => {
  const known = new KnownFiles();
  await known.load(async () => [file(1)]);
  known.add(file(2), 1000);
  expect(known.filesAsPut.map(({ timestampMs }) => timestampMs)).toEqual([1, 1000]);
  expect(known.files.map(({ timestampMs }) => timestampMs)).toEqual([1, 2]);
});
