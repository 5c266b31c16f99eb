// A short soak (`npm run soak` is the long one): everything happens once, however long this machine takes for it.
import { afterAll, expect, test } from "vitest";
import { hasCeph } from "../support/ceph.ts";
import { runSoak } from "./run.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);
const ending = new AbortController();
const timeoutMs = 1_800_000;

afterAll(() => ending.abort());

test.runIf(hasCeph())(
  `a real configuration file under load, with everything that can go wrong (HEADWATER_SEED=${seed})`,
  async () => {
    const lines: string[] = [];
    const report = await runSoak({
      minutes: 1,
      seed,
      kills: true,
      signal: ending.signal,
      report: (line) => lines.push(line),
    });
    expect(report.failures, `${lines.join("\n")}\nkept in ${report.directory}`).toEqual([]);
    expect(report.proofs.verified).toBeGreaterThan(0);
    expect(report.proofs.exact).toBeGreaterThanOrEqual(report.proofs.verified);
  },
  timeoutMs,
);
