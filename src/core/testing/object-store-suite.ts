// What every store and every wrapper has to keep: the promises of `core/store/object-store.ts` as named cases. The
// suite knows no test runner: run each case in a test of its own.
//
//   for (const { name, run } of objectStoreCases) test(name, () => run(openEmptyStore));
import { faultCases } from "./object-store-fault-cases.ts";
import { listCases } from "./object-store-list-cases.ts";
import { putCases } from "./object-store-put-cases.ts";
import { readCases } from "./object-store-read-cases.ts";
import type { ObjectStoreCase } from "./object-store-case.ts";

export type { ObjectStoreCase, OpenEmptyStore } from "./object-store-case.ts";

/** Every case. Each opens one store, which must be empty and stay its own, and closes it. */
export const objectStoreCases: readonly ObjectStoreCase[] = [
  ...putCases,
  ...readCases,
  ...listCases,
  ...faultCases,
];
