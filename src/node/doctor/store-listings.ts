// Checks of listings: do they show what was just written and deleted, and if not at once, how late?
import type { ProbeObjects, ProbeOptions } from "./probe-objects.ts";
import type { Check } from "./report.ts";

/** How long a listing may take to show what was written or deleted before it is said not to. */
const listingBudgetMs = 10_000;
const listingPauseMs = 250;

/** A new object must be listed at once, with its size. */
export async function checkListAfterWrite(
  objects: ProbeObjects,
  options: ProbeOptions,
): Promise<Check> {
  const { sizeBytes } = await objects.put("listed", new Uint8Array(10));
  const lateMs = await untilListed(objects, options, (names) => names.has("listed"));
  const listed = (await objects.list()).get("listed");
  if (lateMs === 0 && listed?.sizeBytes === sizeBytes) {
    return { name: "list-after-write", result: "ok", found: "a new object is listed at once" };
  }
  const found =
    lateMs === undefined
      ? `a new object is not listed within ${listingBudgetMs / 1000} s`
      : lateMs === 0
        ? "a new object is listed with a wrong size"
        : `a new object is listed ${(lateMs / 1000).toFixed(1)} s late`;
  return {
    name: "list-after-write",
    result: "problem",
    found,
    change:
      "Use a store whose listings are consistent: here a restore can miss the newest files, and a second writer is " +
      "noticed late. If a cache or proxy stands before it, go around it.",
    values: { lateMs: lateMs ?? -1 },
  };
}

/** An object that was deleted must not be listed. Uses the object of `checkListAfterWrite`. */
export async function checkListAfterDelete(
  objects: ProbeObjects,
  options: ProbeOptions,
): Promise<Check> {
  await objects.delete(["listed"]);
  const lateMs = await untilListed(objects, options, (names) => !names.has("listed"));
  if (lateMs === 0) {
    return { name: "list-after-delete", result: "ok", found: "a deleted object is not listed" };
  }
  const late =
    lateMs === undefined ? "still listed" : `listed ${(lateMs / 1000).toFixed(1)} s more`;
  return {
    name: "list-after-delete",
    result: (await objects.head("listed")) === undefined ? "warning" : "problem",
    found: `an object that was deleted is ${late}`,
    change:
      "A restore while old files are being deleted can fail and must be tried again. Use a store whose listings are " +
      "consistent.",
    values: { lateMs: lateMs ?? -1 },
  };
}

/** Milliseconds until the listing is as wanted, 0 if it is at once, `undefined` if it never is. */
async function untilListed(
  objects: ProbeObjects,
  { clock, signal }: ProbeOptions,
  isWanted: (names: ReadonlySet<string>) => boolean,
): Promise<number | undefined> {
  const startMs = clock.monotonicMs();
  for (let attempts = 1; ; attempts++) {
    if (isWanted(new Set((await objects.list()).keys()))) {
      return attempts === 1 ? 0 : clock.monotonicMs() - startMs;
    }
    if (clock.monotonicMs() - startMs >= listingBudgetMs) return undefined;
    await clock.sleep(listingPauseMs, { signal });
  }
}
