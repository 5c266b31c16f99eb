import { expect, test } from "vitest";
import { toTxid } from "../../core/ltx/txid.ts";
import { SyncRequests } from "./sync-requests.ts";

test("callers that come before a flush share its TXID, later ones wait for the next", async () => {
  const syncs = new SyncRequests();
  const first = syncs.add();
  const second = syncs.add();
  syncs.take();
  const late = syncs.add();
  expect(syncs.isWaiting).toBe(true);
  syncs.aimAt(toTxid(7));
  syncs.resolveThrough(7n, toTxid(7));
  expect(await first).toBe(7n);
  expect(await second).toBe(7n);
  syncs.take();
  syncs.aimAt(toTxid(8));
  syncs.resolveThrough(8n, toTxid(8));
  expect(await late).toBe(8n);
  expect(syncs.isWaiting).toBe(false);
});

test("a request is not resolved by an acknowledgement below its TXID", async () => {
  const syncs = new SyncRequests();
  const request = syncs.add();
  syncs.take();
  syncs.aimAt(toTxid(3));
  syncs.resolveThrough(2n, toTxid(3));
  expect(await Promise.race([request, Promise.resolve("not yet")])).toBe("not yet");
  syncs.resolveThrough(3n, toTxid(3));
  expect(await request).toBe(3n);
});

test("a flush that failed leaves its callers waiting for the next one", async () => {
  const syncs = new SyncRequests();
  const request = syncs.add();
  syncs.take();
  expect(syncs.isWaiting).toBe(true);
  syncs.take();
  syncs.aimAt(toTxid(4));
  syncs.resolveThrough(4n, toTxid(4));
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
