// Does a store keep the promises that replicas are built on? Each is tried with objects of our own, and compared with
// what the store says of itself. About 60 small requests.
import type { Waiting } from "../../core/base/async.ts";
import { bytesEqual } from "../../core/base/bytes.ts";
import type { ObjectStore, StoreFeatures } from "../../core/store/object-store.ts";
import { checkCopy, checkCreateOnly, checkReplaceIfUnchanged } from "./store-conditions.ts";
import { checkListAfterDelete, checkListAfterWrite } from "./store-listings.ts";
import { checkClockSkew, checkLatency, checkObjectTime } from "./store-times.ts";
import { ProbeObjects } from "./probe-objects.ts";
import type { ProbeOptions } from "./probe-objects.ts";
import { failedCheck } from "./report.ts";
import type { Check, CheckName, Report } from "./report.ts";

const objectBytes = 10_000;

const rangeAdvice =
  "Use a store that honours ranges: without them headers cannot be read, and nothing can be restored. If a cache or " +
  "proxy stands before it, let it pass the Range header.";
const deleteAdvice =
  "Allow the account to delete objects. Otherwise retention deletes nothing and the replica grows for ever; if that is " +
  "what you want, set retention: enabled: false.";

export interface StoreCheckOptions extends ProbeOptions {
  /** A store of the same kind has been probed: only what depends on the place, permissions, is tried. */
  readonly isKnown?: boolean | undefined;
}

/**
 * Probes `store` and reports each check as it is made. Resolves to whether the store can be read. Everything that was
 * made is removed, also after an abort or an error; what could not be is reported.
 */
export async function checkStore(
  store: ObjectStore,
  options: StoreCheckOptions,
  report: Report,
): Promise<boolean> {
  const objects = new ProbeObjects(store, options);
  const run: Run = async (name, work, advice) => {
    const check = await attempt(name, work, { ...options, advice });
    report(check);
    return check.result !== "problem";
  };
  try {
    if (!(await run("reachable", () => checkReachable(objects)))) return false;
    const bytes = options.random.bytes(objectBytes);
    if (!(await run("write", () => checkWrite(objects, bytes)))) return true;
    if (options.isKnown !== true) await checkPromises(objects, { options, bytes, run });
    await run("delete", () => checkDelete(objects, ["object"], "delete"), deleteAdvice);
    return true;
  } finally {
    const remaining = await objects.remove();
    if (remaining.length > 0) report(leftOver(store, remaining));
  }
}

/** Makes one check, reports it, and resolves to whether it found no problem. */
type Run = (name: CheckName, work: () => Promise<Check>, advice?: string) => Promise<boolean>;

/** What holds for the whole store. */
async function checkPromises(
  objects: ProbeObjects,
  {
    options,
    bytes,
    run,
  }: { readonly options: ProbeOptions; readonly bytes: Uint8Array; readonly run: Run },
): Promise<void> {
  let features: StoreFeatures | undefined;
  await run("features", async () => {
    features = await objects.store.features(options);
    return describeFeatures(features);
  });
  await run("list-after-write", () => checkListAfterWrite(objects, options));
  await run("read-range", () => checkRanges(objects, bytes), rangeAdvice);
  if (features !== undefined) {
    const claims = features;
    await run("create-only", () => checkCreateOnly(objects, claims, bytes));
    await run("replace-if-unchanged", () => checkReplaceIfUnchanged(objects, claims, bytes));
    await run("copy", () => checkCopy(objects, claims, bytes));
  }
  await run("object-time", () => checkObjectTime(objects, options));
  await run("clock-skew", () => checkClockSkew(objects, options));
  await run("latency", () => checkLatency(objects, bytes, options));
  await run(
    "delete-many",
    async () => checkDelete(objects, await manyObjects(objects), "delete-many"),
    deleteAdvice,
  );
  await run("list-after-delete", () => checkListAfterDelete(objects, options));
}

/** The check, or what it failed with, followed by `advice`. Only an abort is thrown. */
async function attempt(
  name: CheckName,
  work: () => Promise<Check>,
  { signal, advice }: Waiting & { readonly advice?: string | undefined },
): Promise<Check> {
  try {
    return await work();
  } catch (error) {
    signal?.throwIfAborted();
    return failedCheck(name, error, advice);
  }
}

async function checkReachable(objects: ProbeObjects): Promise<Check> {
  await objects.list();
  return { name: "reachable", result: "ok", found: "answers, and lets us list" };
}

async function checkWrite(objects: ProbeObjects, bytes: Uint8Array): Promise<Check> {
  await objects.put("object", bytes);
  const read = await objects.read("object");
  if (read !== undefined && bytesEqual(read, bytes)) {
    return { name: "write", result: "ok", found: "an object reads back as it was written" };
  }
  const what = read === undefined ? "is not there" : "has other bytes";
  return {
    name: "write",
    result: "problem",
    found: `an object that was just written ${what}`,
    change:
      "Use another store: a backup in this one cannot be trusted. If a cache or proxy stands before it, go around it.",
  };
}

function describeFeatures(features: StoreFeatures): Check {
  const { createOnly, replaceIfUnchanged, listsExactTimes, copy } = features;
  const claims = {
    "create-only puts": createOnly,
    "replace-if-unchanged puts": replaceIfUnchanged,
    "exact times in listings": listsExactTimes,
    "server-side copy": copy,
  };
  const list = Object.entries(claims).map(([name, can]) => (can ? name : `no ${name}`));
  return {
    name: "features",
    result: "ok",
    found: `taken for a store with ${list.join(", ")}`,
    values: { ...features },
  };
}

async function checkRanges(objects: ProbeObjects, bytes: Uint8Array): Promise<Check> {
  const middle = { offset: 1234, length: 567 };
  const wanted = [
    [middle, bytes.subarray(1234, 1801), "from the middle"],
    [{ offset: 0, length: 100 }, bytes.subarray(0, 100), "from the start"],
    [{ offset: objectBytes - 321 }, bytes.subarray(objectBytes - 321), "to the end"],
    [{ offset: objectBytes - 5, length: 50 }, bytes.subarray(objectBytes - 5), "past the end"],
  ] as const;
  for (const [range, expected, where] of wanted) {
    const read = await objects.read("object", range);
    if (read !== undefined && bytesEqual(read, expected)) continue;
    return {
      name: "read-range",
      result: "problem",
      found: `a range ${where} gives ${read?.length ?? 0} bytes instead of the ${expected.length} asked for`,
      change: rangeAdvice,
    };
  }
  return { name: "read-range", result: "ok", found: "ranges give exactly what was asked for" };
}

async function manyObjects(objects: ProbeObjects): Promise<readonly string[]> {
  const names = ["many-1", "many-2", "many-3"];
  for (const name of names) await objects.put(name, new Uint8Array(1));
  return [...names, "never-there"];
}

async function checkDelete(
  objects: ProbeObjects,
  names: readonly string[],
  check: "delete" | "delete-many",
): Promise<Check> {
  await objects.delete(names);
  const infos = await Promise.all(names.map((name) => objects.head(name)));
  const kept = infos.filter((info) => info !== undefined).length;
  if (kept === 0) {
    const what =
      check === "delete" ? "a deleted object is gone" : "several objects at once are gone";
    return { name: check, result: "ok", found: what };
  }
  return {
    name: check,
    result: "problem",
    found: `${kept} of ${names.length} deleted objects ${kept === 1 ? "is" : "are"} still there`,
    change: deleteAdvice,
  };
}

function leftOver(store: ObjectStore, keys: readonly string[]): Check {
  return {
    name: "left-over",
    result: "problem",
    found: `could not be removed from ${store.url}: ${keys.join(", ")}`,
    change:
      "Delete these objects by hand. They are no part of the replica and no program reads them.",
    values: { objects: keys.length },
  };
}
