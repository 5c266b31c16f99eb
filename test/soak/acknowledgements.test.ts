import { expect, test } from "vitest";
import { toTxid } from "../../src/core/ltx/txid.ts";
import { Acknowledgements } from "./acknowledgements.ts";

function acknowledged(): Acknowledgements {
  const all = new Acknowledgements();
  all.add({ txid: toTxid(3), least: { life: 0, seq: 10 } });
  all.add({ txid: toTxid(7), least: { life: 0, seq: 20 }, sha256: "bytes of 7" });
  all.add({ txid: toTxid(9), least: { life: 1, seq: 5 } });
  return all;
}

test.each([
  ["more than was acknowledged before", 5, { life: 0, seq: 12 }],
  ["the bytes that were acknowledged", 7, { life: 0, seq: 20 }],
  ["a later life, before it was acknowledged", 8, { life: 1, seq: 0 }],
])("a restore may hold %s", (_name, txid, state) => {
  expect(() => acknowledged().check(toTxid(txid), state, `bytes of ${txid}`)).not.toThrow();
});

test.each([
  ["lacks a transaction", 7, { life: 0, seq: 19 }, "bytes of 7", /transaction 19 of life 0/u],
  ["is of a database that was deleted", 9, { life: 0, seq: 99 }, "", /99 of life 0/u],
  ["is of a database that came later", 6, { life: 1, seq: 1 }, "", /life 1, which began after/u],
  ["differs in a byte", 7, { life: 0, seq: 20 }, "others", /not byte for byte/u],
])("a restore that %s is a failure", (_name, txid, state, sha256, message) => {
  expect(() => acknowledged().check(toTxid(txid), state, sha256)).toThrow(message);
});

test("a TXID that is acknowledged after a higher one is a failure", () => {
  const less = { txid: toTxid(8), least: { life: 1, seq: 6 } };
  expect(() => acknowledged().add(less)).toThrow(/acknowledged after/u);
});
