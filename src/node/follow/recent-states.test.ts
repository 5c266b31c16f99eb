// What is remembered of the states of an output.
import { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";
import { toTxid } from "../../core/ltx/txid.ts";
import { type ChangedPages, RecentStates, recentStatesSchema } from "./recent-states.ts";

function open(): RecentStates {
  const database = new DatabaseSync(":memory:");
  database.exec(recentStatesSchema);
  return new RecentStates(database);
}

function pages(...pgnos: readonly number[]): ChangedPages {
  return { pgnos: Uint32Array.from(pgnos), floor: 100 };
}

function go(states: RecentStates, txid: number, base: number, changed?: ChangedPages): void {
  states.begin(toTxid(txid), BigInt(txid) | (1n << 63n), { base: BigInt(base), changed });
  states.adopt();
}

function txids(states: RecentStates): readonly bigint[] {
  return states.list().map(({ txid }) => txid);
}

it("gives states back, newest first, with the pages that led to each", () => {
  const states = open();
  go(states, 1, 0);
  go(states, 2, 1, pages());
  go(states, 0x1_0000_0000, 2, pages(3, 0xffff_ffff));
  expect(states.list()).toEqual([
    {
      txid: 0x1_0000_0000n,
      databaseChecksum: 0x1_0000_0000n | (1n << 63n),
      changed: pages(3, 0xffff_ffff),
    },
    { txid: 2n, databaseChecksum: 2n | (1n << 63n), changed: pages() },
    { txid: 1n, databaseChecksum: 1n | (1n << 63n), changed: undefined },
  ]);
});

it("forgets what another history takes the place of, once the output is there", () => {
  const states = open();
  for (const txid of [1, 2, 3, 4]) go(states, txid, txid - 1, pages(txid));
  states.begin(toTxid(3), 9n, { base: 2n, changed: pages(7) });
  expect(txids(states)).toEqual([4n, 3n, 2n, 1n]);
  states.drop();
  states.adopt();
  expect(txids(states)).toEqual([4n, 3n, 2n, 1n]);
  states.begin(toTxid(3), 9n, { base: 2n, changed: pages(7) });
  states.adopt();
  expect(states.list().map(({ txid, databaseChecksum }) => [txid, databaseChecksum])).toEqual([
    [3n, 9n],
    [2n, 2n | (1n << 63n)],
    [1n, 1n | (1n << 63n)],
  ]);
  // Back to the common TXID itself: it is known, and with the pages that led to it.
  go(states, 2, 2, pages());
  expect(states.list()[0]).toMatchObject({ txid: 2n, changed: pages(2) });
  go(states, 9, 0);
  expect(txids(states)).toEqual([9n]);
});

it("is bounded, in states and in pages of one", () => {
  const states = open();
  for (let txid = 1; txid <= 600; txid++) go(states, txid, txid - 1, pages(txid));
  expect(txids(states)).toHaveLength(512);
  expect(txids(states)[0]).toBe(600n);
  go(states, 601, 600, pages(...Array.from({ length: 8193 }, (_, i) => i)));
  expect(states.list()[0]).toMatchObject({ txid: 601n, changed: undefined });
});
