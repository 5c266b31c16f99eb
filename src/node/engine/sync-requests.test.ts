import { expect, test } from "vitest";
import { toTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { SyncRequests } from "./sync-requests.ts";

/** Each TXID is the end of a file. */
const itself = (txid: Txid): Txid => txid;

test("callers that come before a flush share its TXID, later ones wait for the next", async () => {
  const syncs = new SyncRequests();
  const first = syncs.add();
  const second = syncs.add();
  syncs.take();
  const late = syncs.add();
  expect(syncs.isWaiting).toBe(true);
  syncs.aimAt(toTxid(7));
  syncs.resolveThrough(7n, itself);
  expect(await first).toBe(7n);
  expect(await second).toBe(7n);
  syncs.take();
  syncs.aimAt(toTxid(8));
  syncs.resolveThrough(8n, itself);
  expect(await late).toBe(8n);
  expect(syncs.isWaiting).toBe(false);
});

test("a request is not resolved by an acknowledgement below its TXID", async () => {
  const syncs = new SyncRequests();
  const request = syncs.add();
  syncs.take();
  syncs.aimAt(toTxid(3));
  syncs.resolveThrough(2n, itself);
  expect(await Promise.race([request, Promise.resolve("not yet")])).toBe("not yet");
  syncs.resolveThrough(3n, itself);
  expect(await request).toBe(3n);
});

test("a flush that failed leaves its callers waiting for the next one", async () => {
  const syncs = new SyncRequests();
  const request = syncs.add();
  syncs.take();
  expect(syncs.isWaiting).toBe(true);
  syncs.take();
  syncs.aimAt(toTxid(4));
  syncs.resolveThrough(4n, itself);
  expect(await request).toBe(4n);
});

test("ending rejects everybody", async () => {
  const syncs = new SyncRequests();
  const requests = [syncs.add(), syncs.add()];
  syncs.take();
  syncs.aimAt(toTxid(1));
  requests.push(syncs.add());
  const ends = Promise.allSettled(requests);
  syncs.rejectAll(new Error("over"));
  expect((await ends).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
});

test("a request for local disk is resolved when its TXID is staged, whatever the replica does", async () => {
  const syncs = new SyncRequests();
  const local = syncs.add("staged");
  const remote = syncs.add("replicated");
  syncs.take();
  syncs.aimAt(toTxid(3));
  expect(await local).toBe(3n);
  expect(await Promise.race([remote, Promise.resolve("not yet")])).toBe("not yet");
  syncs.resolveThrough(3n, itself);
  expect(await remote).toBe(3n);
});

test("whoever gives up is forgotten at every stage, and others are not", async () => {
  const syncs = new SyncRequests();
  const early = new AbortController();
  const midway = new AbortController();
  const late = new AbortController();
  const gone = [early, midway, late].map(({ signal }) => syncs.add("replicated", { signal }));
  const staying = syncs.add();
  const reason = new Error("no patience");
  early.abort(reason);
  await expect(gone[0]).rejects.toBe(reason);
  syncs.take();
  midway.abort(reason);
  await expect(gone[1]).rejects.toBe(reason);
  syncs.aimAt(toTxid(3));
  late.abort(reason);
  await expect(gone[2]).rejects.toBe(reason);
  await expect(syncs.add("staged", { signal: early.signal })).rejects.toBe(reason);
  expect(syncs.isWaiting).toBe(false);
  syncs.resolveThrough(3n, itself);
  expect(await staying).toBe(3n);
});

test("what was merged before it was uploaded is named by the TXID that can be restored", async () => {
  const syncs = new SyncRequests();
  const request = syncs.add();
  syncs.take();
  syncs.aimAt(toTxid(3));
  syncs.resolveThrough(5n, () => toTxid(5));
  expect(await request).toBe(5n);
});
