import { expect, test } from "vitest";
import { runStopCycles } from "./stop-cycles.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);

test(`6 random stops and starts lose nothing (HEADWATER_SEED=${seed})`, async () => {
  expect(await runStopCycles({ cycles: 6, seed })).toBeGreaterThan(6);
});
