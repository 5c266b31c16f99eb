import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { resolveOptions } from "./engine-options.ts";
import type { ReplicateOptions } from "./engine-options.ts";
import { costFields, expectedCost, expectedCosts, totalCost } from "./expected-cost.ts";
import type { CostOptions, ExpectedCost } from "./expected-cost.ts";

function costOf(
  options: Partial<ReplicateOptions>,
  environment: Record<string, string> = {},
  cost: CostOptions = {},
): ExpectedCost {
  const { replica = "s3://bucket/app" } = options;
  const given = { path: "/nowhere/app.db", ...options, replica };
  return expectedCost(resolveOptions(given), replica, environment, cost);
}

test("without a limit: full speed, at the provider's prices", () => {
  const cost = costOf({});
  expect(cost.limit).toBeUndefined();
  expect(costFields(cost)).toEqual({
    putsPerMonth: 2_777_383,
    listsPerMonth: 277_512,
    getsPerMonth: 404_736,
    usdPerMonth: 15.44,
    provider: "AWS S3 Standard",
    hint: expect.stringContaining("at most"),
  });
  expect(cost.intervalMs).toBe(1_000);
});

test("a limit in dollars counts with prices, one of requests with ones", () => {
  const cost = costOf({ maxCostPerMonth: 1 });
  expect(costFields(cost)).toMatchObject({ usdPerMonth: 1 });
  expect(Math.round(cost.intervalMs / 1_000)).toBe(18);
  const { requests } = costOf({ maxPutsPerMonth: 100_000 });
  expect(requests.put + requests.list).toBeCloseTo(100_000);
});

test("followers by push are counted as there all the time; the interval stays what it is", () => {
  const alone = costOf({});
  const followed = costOf({}, {}, { isPushed: true });
  expect(costFields(followed)).toMatchObject({ putsPerMonth: 5_455_783, usdPerMonth: 29.05 });
  expect(followed.intervalMs).toBe(1_000);
  expect(followed.fullSpeed).toEqual(alone.fullSpeed);
  const limited = costOf({ maxCostPerMonth: 1 }, {}, { isPushed: true });
  expect(limited.usd).toBeCloseTo(1);
  expect(limited.intervalMs).toBeGreaterThan(30_000);
});

test("each replica of a database is expected to cost what its own manifest costs", () => {
  const replicas = [{ url: "s3://bucket/a" }, { url: "s3://bucket/b", manifest: true }];
  const options = resolveOptions({ path: "/nowhere/app.db", replicas });
  const [plain, web] = expectedCosts(options, {}, {}).map(({ usd }) => usd?.toFixed(2));
  expect([plain, web]).toEqual(["15.44", "29.45"]);
});

test("the environment may name the endpoint", () => {
  const environment = { AWS_ENDPOINT_URL: "https://abc.r2.cloudflarestorage.com" };
  expect(costOf({}, environment).provider).toBe("Cloudflare R2");
});

test.for([
  "s3://bucket/app?endpoint=http://localhost:9000",
  "s3://bucket/app?storage-class=STANDARD_IA",
  "s3://bucket--use1-az4--x-s3/app",
])("%s has no known price: requests can be limited, dollars cannot", (replica) => {
  expect(costOf({ replica }).usd).toBeUndefined();
  expect(costOf({ replica, maxPutsPerMonth: 1_000 }).limit?.perMonth).toBe(1_000);
  expect(() => costOf({ replica, maxCostPerMonth: 1 })).toThrow(/max-puts-per-month/u);
});

test("a directory costs nothing: a limit in dollars does not touch it, one of requests does", () => {
  const replica = "file:///backups/app";
  expect(costOf({ replica, maxCostPerMonth: 1 })).toMatchObject({ usd: 0, limit: undefined });
  expect(costOf({ replica, maxPutsPerMonth: 1_000 }).limit).toBeDefined();
});

test("a large database is put in parts each day", () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  const small = costOf({ path, levels: [], retentionEnabled: false });
  writeFileSync(path, new Uint8Array(20 * 1024 * 1024));
  const large = costOf({ path, levels: [], retentionEnabled: false });
  // Three parts of 8 MiB at most, a beginning and an end.
  expect(large.requests.put - small.requests.put).toBeCloseTo(31 * 4);
});

test("the sum has a price only if all of them have", () => {
  const free = costOf({ replica: "file:///backups/app" });
  const s3 = costOf({});
  const unknown = costOf({ replica: "s3://bucket/app?endpoint=http://localhost:9000" });
  const total = totalCost([s3, free, s3]);
  expect(total.usd).toBeCloseTo(2 * (s3.usd ?? 0));
  expect(total.provider).toBe("AWS S3 Standard, a directory");
  expect(total.requests.put).toBeCloseTo(2 * s3.requests.put + free.requests.put);
  expect(totalCost([s3, unknown]).usd).toBeUndefined();
});

test.for([
  [{ maxPutsPerMonth: 999 }, /maxPutsPerMonth is 999/u],
  [{ maxPutsPerMonth: Number.NaN }, /maxPutsPerMonth is NaN/u],
  [{ maxCostPerMonth: 0 }, /maxCostPerMonth is 0/u],
  [{ maxCostPerMonth: 1, maxPutsPerMonth: 1_000 }, /exclude each other/u],
] as const)("%j is refused", ([options, message]) => {
  expect(() => costOf(options)).toThrow(message);
});
