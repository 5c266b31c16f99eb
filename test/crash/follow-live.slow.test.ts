import { expect, test } from "vitest";
import { runFollowLive } from "./follow-live.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);

test(`readers see whole states while many followers are killed (HEADWATER_SEED=${seed})`, async () => {
  await expect(runFollowLive({ kills: 60, seed, states: 30 })).resolves.toBeUndefined();
});
