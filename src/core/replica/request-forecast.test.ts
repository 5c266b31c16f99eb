// The arithmetic of docs/cost.md. That engines ask for no more is shown in test/budget.test.ts.
import { expect, test } from "vitest";
import { requestPricesAt, weigh } from "../store/request-prices.ts";
import { limitedForecast, requestLimit } from "./request-budget.ts";
import { addCounts, forecastFollowed, forecastRequests, monthMs } from "./request-forecast.ts";

const dayMs = 24 * 3_600_000;
const plain = {
  syncIntervalMs: 1_000,
  levels: [30_000, 300_000, 3_600_000],
  snapshotIntervalMs: dayMs,
  retentionCheckMs: 150_000,
  putsPerImage: 1,
};

test("the defaults: one put a second, and what levels, images and retention ask for", () => {
  const { sync, upkeep } = forecastRequests(plain);
  expect(sync).toEqual({ put: 31 * 86_400, list: 0, get: 2 * 31 * 1_440, delete: 0 });
  const merges = 31 * (2_880 + 288 + 24);
  const checks = (31 * 86_400) / 150;
  expect(upkeep.put).toBe(merges + 31);
  expect(upkeep.list).toBe(merges + 10 * checks);
  expect(upkeep.get).toBe(31 * (2 * 2_880 + 14 * 288 + 16 * 24));
});

test("a level is made no more often than there is something new for it", () => {
  const { upkeep } = forecastRequests({
    ...plain,
    syncIntervalMs: 600_000,
    levels: [30_000, 60_000],
  });
  expect(upkeep.put).toBe(2 * (monthMs / 600_000) + 31);
});

test("without levels, and without retention, neither costs anything", () => {
  const none = { ...plain, levels: [], retentionCheckMs: undefined };
  expect(forecastRequests(none).upkeep).toEqual({ put: 31, list: 0, get: 0, delete: 0 });
});

test("a full image in parts costs a put for each", () => {
  const images = { ...plain, levels: [], retentionCheckMs: undefined, putsPerImage: 130 };
  expect(forecastRequests(images).upkeep.put).toBe(31 * 130);
});

test("a manifest costs a put for each change, and hot pages in the interval of the highest level", () => {
  const without = forecastRequests(plain).upkeep;
  const { sync, upkeep } = forecastRequests({ ...plain, hasManifest: true });
  const merges = 31 * (2_880 + 288 + 24);
  const checks = (31 * 86_400) / 150;
  const hotPages = 31 * 24;
  expect(upkeep.put - without.put).toBe(sync.put + merges + 31 + checks + hotPages);
  expect(upkeep.list - without.list).toBe(hotPages);
  expect(upkeep.get - without.get).toBe(100 * hotPages);
});

test("while somebody follows each upload is two files, and level 0 is listed once a minute", () => {
  const alone = forecastRequests(plain);
  const { sync, upkeep } = forecastFollowed(plain);
  expect(sync).toEqual({ ...alone.sync, put: 2 * alone.sync.put, list: 31 * 1_440 });
  expect(upkeep).toEqual(alone.upkeep);
  const both = forecastFollowed({ ...plain, hasManifest: true });
  const plainBoth = forecastRequests({ ...plain, hasManifest: true });
  expect(both.upkeep.put - plainBoth.upkeep.put).toBe(alone.sync.put);
});

test("an interval of 0 is taken for ten commits a second", () => {
  expect(forecastRequests({ ...plain, syncIntervalMs: 0 }).sync.put).toBe(31 * 864_000);
});

test("a limit cuts each share to its part, and only as far as it must", () => {
  const forecast = forecastRequests(plain);
  const cut = limitedForecast(forecast, requestLimit(100_000));
  expect(cut.sync.put + cut.sync.list).toBeCloseTo(75_000);
  expect(cut.upkeep.put + cut.upkeep.list).toBeCloseTo(25_000);
  expect(limitedForecast(forecast, requestLimit(10_000_000))).toEqual(forecast);
});

test("where level-0 files need little, the rest may have more than a quarter", () => {
  const usd = requestPricesAt("s3.eu-central-003.backblazeb2.com")?.usd ?? expect.fail("no price");
  const forecast = forecastRequests(plain);
  const { upkeep } = limitedForecast(forecast, { perMonth: 1, weights: usd });
  expect(weigh(upkeep, usd)).toBeGreaterThan(0.9);
});

test("on S3 the defaults cost 15 dollars a month at most, with max-cost: $1/month one dollar", () => {
  const usd = requestPricesAt("s3.eu-west-1.amazonaws.com")?.usd ?? expect.fail("no price");
  const forecast = forecastRequests(plain);
  const { sync, upkeep } = forecast;
  expect(weigh(addCounts(sync, upkeep), usd)).toBeCloseTo(15.44, 2);
  const limited = limitedForecast(forecast, { perMonth: 1, weights: usd });
  expect(weigh(addCounts(limited.sync, limited.upkeep), usd)).toBeCloseTo(1);
});

test.for([
  ["s3.amazonaws.com", "AWS S3 Standard"],
  ["s3.eu-west-1.amazonaws.com", "AWS S3 Standard"],
  ["0123abcd.r2.cloudflarestorage.com", "Cloudflare R2"],
  ["t3.storage.dev", "Tigris"],
  ["s3.us-west-004.backblazeb2.com", "Backblaze B2"],
  ["storage.googleapis.com", "Google Cloud Storage"],
  ["amazonaws.com.example", undefined],
  ["localhost", undefined],
] as const)("the prices at %s are those of %s", ([host, provider]) => {
  expect(requestPricesAt(host)?.provider).toBe(provider);
});
