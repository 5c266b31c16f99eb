// Checks of times: what a store keeps of ours, how its clock differs, how long it takes to answer.
import type { ObjectInfo } from "../../core/store/object-store.ts";
import type { ProbeObjects, ProbeOptions } from "./probe-objects.ts";
import type { Check, CheckResult } from "./report.ts";

/** S3 tells times in whole seconds, rounded down. */
const storeTimeStepMs = 1000;
const skewWarningMs = 1000;
/** From here on services refuse signed requests. */
const skewProblemMs = 15 * 60_000;

/** As long as the default sync interval: uploads would fall behind. */
const slowMs = 1000;
const rounds = 5;

/** A time given to an object must come back with it. */
export async function checkObjectTime(
  objects: ProbeObjects,
  { clock }: ProbeOptions,
): Promise<Check> {
  const name = "object-time";
  const timestampMs = clock.nowMs() - 86_400_000;
  await objects.put("timed", new Uint8Array(1), { timestampMs });
  const info = await objects.head("timed");
  if (info?.isExactTime === true && info.timestampMs === timestampMs) {
    return { name, result: "ok", found: "an object keeps the time it is given" };
  }
  return {
    name,
    result: "warning",
    found: `an object was given ${isoOf(timestampMs)} and has ${info === undefined ? "no time" : isoOf(info.timestampMs)}`,
    change:
      "A proxy or gateway drops the metadata of objects: let it pass x-amz-meta-*. Headwater restores to a time all the " +
      "same, from the headers of the files; Litestream takes the time of the upload instead.",
  };
}

/** Their clock against ours, from an object that was given no time. */
export async function checkClockSkew(
  objects: ProbeObjects,
  { clock }: ProbeOptions,
): Promise<Check> {
  const name = "clock-skew";
  const beforeMs = clock.nowMs();
  await objects.put("now", new Uint8Array(1));
  const afterMs = clock.nowMs();
  const info = (await objects.list()).get("now") ?? (await objects.head("now"));
  if (info === undefined || info.isExactTime) {
    return { name, result: "ok", found: "the store keeps our times and has none of its own" };
  }
  const skewMs = skewOf(info, beforeMs, afterMs);
  const values = { skewMs };
  const size = Math.abs(skewMs);
  if (size <= skewWarningMs) {
    return { name, result: "ok", found: "the store's clock and ours agree to a second", values };
  }
  const result: CheckResult = size > skewProblemMs ? "problem" : "warning";
  const seconds = (size / 1000).toFixed(1);
  return {
    name,
    result,
    found: `the store's clock is ${seconds} s ${skewMs > 0 ? "ahead of" : "behind"} ours`,
    change:
      "Set the clock of this machine or of the store (NTP). Restore points carry the time of this machine, so a restore to " +
      "a time is off by as much; S3 services refuse requests from 15 minutes on.",
    values,
  };
}

/** How far the time of an object lies outside of the span in which it was put. */
function skewOf({ timestampMs }: ObjectInfo, beforeMs: number, afterMs: number): number {
  const earliestMs = beforeMs - storeTimeStepMs;
  if (timestampMs > afterMs) return timestampMs - afterMs;
  return timestampMs < earliestMs ? timestampMs - earliestMs : 0;
}

/** The middle and the longest of five puts, gets and listings, one at a time. */
export async function checkLatency(
  objects: ProbeObjects,
  bytes: Uint8Array,
  { clock }: ProbeOptions,
): Promise<Check> {
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const startMs = clock.monotonicMs();
    await work();
    return clock.monotonicMs() - startMs;
  };
  const put: number[] = [];
  const get: number[] = [];
  const list: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    put.push(await timed(() => objects.put(`round-${round}`, bytes)));
    get.push(await timed(() => objects.read(`round-${round}`)));
    list.push(await timed(() => objects.list()));
  }
  const spans = { put: spanOf(put), get: spanOf(get), list: spanOf(list) };
  const found = Object.entries(spans).map(
    ([name, { medianMs, maxMs }]) =>
      `${name} ${milliseconds(medianMs)} (at most ${milliseconds(maxMs)})`,
  );
  const isSlow = Object.values(spans).some(({ medianMs }) => medianMs > slowMs);
  return {
    name: "latency",
    result: isSlow ? "warning" : "ok",
    found: found.join(", "),
    change: isSlow
      ? "Use a store that is nearer, or a longer sync-interval: with more than 1 s per request uploads cannot keep up " +
        "with a sync interval of 1 s."
      : undefined,
    values: {
      putMedianMs: spans.put.medianMs,
      putMaxMs: spans.put.maxMs,
      getMedianMs: spans.get.medianMs,
      getMaxMs: spans.get.maxMs,
      listMedianMs: spans.list.medianMs,
      listMaxMs: spans.list.maxMs,
    },
  };
}

function spanOf(times: readonly number[]): { readonly medianMs: number; readonly maxMs: number } {
  const sorted = times.toSorted((a, b) => a - b);
  return {
    medianMs: tenths(sorted[Math.floor(sorted.length / 2)] ?? 0),
    maxMs: tenths(sorted.at(-1) ?? 0),
  };
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

function isoOf(timestampMs: number): string {
  return new Date(timestampMs).toISOString();
}
