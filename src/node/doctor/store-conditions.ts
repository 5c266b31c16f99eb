// Checks of what a store need not be able to do but must not pretend: conditional puts and copies.
import { bytesEqual } from "../../core/base/bytes.ts";
import { hasCode } from "../../core/base/errors.ts";
import type { ErrorCode } from "../../core/base/errors.ts";
import type { PutCondition, StoreFeatures } from "../../core/store/object-store.ts";
import type { ProbeObjects } from "./probe-objects.ts";
import type { Check } from "./report.ts";

const laterNoticed =
  "Two writers on one replica are noticed only after both have written, not refused at the first file: make sure that " +
  "only one program writes to it";

/** A put that must find nothing of that name. */
export async function checkCreateOnly(
  objects: ProbeObjects,
  { createOnly }: StoreFeatures,
  bytes: Uint8Array,
): Promise<Check> {
  const name = "create-only";
  if (!createOnly) {
    const change = `${laterNoticed}, or use a store or a newer version of it that honours If-None-Match.`;
    return { name, result: "warning", found: "not supported", change };
  }
  await objects.put("created", bytes, { condition: "absent" });
  const second = bytes.toReversed();
  const isRefused = await refuses(objects, "created", second, "absent", "store/exists");
  const kept = await objects.read("created");
  if (isRefused && kept !== undefined && bytesEqual(kept, bytes)) {
    return { name, result: "ok", found: "a second object of one name is refused" };
  }
  return {
    name,
    result: "problem",
    found: isRefused
      ? "a second object of one name is refused and yet replaces the first"
      : "claimed, but a second object of one name is not refused",
    change: `${laterNoticed}. If a cache or proxy stands before the store, let it pass the If-None-Match header.`,
  };
}

/** A put that must find the version it names. */
export async function checkReplaceIfUnchanged(
  objects: ProbeObjects,
  { replaceIfUnchanged }: StoreFeatures,
  bytes: Uint8Array,
): Promise<Check> {
  const name = "replace-if-unchanged";
  if (!replaceIfUnchanged) {
    const change = "Nothing: replicas are written without it.";
    return { name, result: "note", found: "not supported", change };
  }
  const { etag } = await objects.put("replaced", bytes);
  const second = bytes.toReversed();
  await objects.put("replaced", second, { condition: { etag } });
  const isRefused = await refuses(objects, "replaced", bytes, { etag }, "store/changed");
  const kept = await objects.read("replaced");
  if (isRefused && kept !== undefined && bytesEqual(kept, second)) {
    return { name, result: "ok", found: "an object that has changed meanwhile is not replaced" };
  }
  return {
    name,
    result: "problem",
    found: "claimed, but an object that has changed meanwhile is replaced",
    change: "Update the store, or let a proxy before it pass the If-Match header.",
  };
}

/** True if the put fails with `code`; other failures are thrown. */
async function refuses(
  objects: ProbeObjects,
  name: string,
  bytes: Uint8Array,
  condition: PutCondition,
  code: ErrorCode,
): Promise<boolean> {
  try {
    await objects.put(name, bytes, { condition });
    return false;
  } catch (error) {
    if (hasCode(error, code)) return true;
    throw error;
  }
}

/** Copies inside the store. */
export async function checkCopy(
  objects: ProbeObjects,
  { copy }: StoreFeatures,
  bytes: Uint8Array,
): Promise<Check> {
  const name = "copy";
  if (!copy) {
    const change = "Nothing: what would be copied is uploaded instead.";
    return { name, result: "note", found: "not supported", change };
  }
  await objects.copy("object", "copied");
  const read = await objects.read("copied");
  if (read !== undefined && bytesEqual(read, bytes)) {
    return { name, result: "ok", found: "a copy inside the store has the same bytes" };
  }
  const found = read === undefined ? "a copy is not there" : "a copy has other bytes";
  return { name, result: "problem", found, change: "Update the store, or use another one." };
}
