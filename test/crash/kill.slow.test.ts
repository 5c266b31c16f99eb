import { expect, test } from "vitest";
import { runKillCycles } from "./kill-cycles.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);

test(`200 kills under load lose and alter nothing (HEADWATER_SEED=${seed})`, async () => {
  const points = await runKillCycles({
    cycles: 200,
    seed,
    commitsPerSecond: 60,
    syncIntervalMs: 60,
  });
  expect(points).toBeGreaterThan(20);
});
