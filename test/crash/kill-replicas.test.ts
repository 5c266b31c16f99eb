import { expect, test } from "vitest";
import { runKillCycles } from "./kill-cycles.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);

test(`20 kills between the puts to two replicas leave both whole (HEADWATER_SEED=${seed})`, async () => {
  const points = await runKillCycles({
    cycles: 20,
    seed,
    commitsPerSecond: 100,
    syncIntervalMs: 20,
    replicas: 2,
  });
  expect(points).toBeGreaterThan(20);
});
