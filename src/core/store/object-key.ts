// Which keys a store accepts. The rule is narrow enough that every backend keeps every key, and lists them in
// the same order.
import { HeadwaterError } from "../base/errors.ts";

const maxKeyUnits = 900;

/**
 * True for a relative path without empty, `.` or `..` parts, free of NUL, and below U+D800: up to there the
 * orders by UTF-16 code units (ours) and by UTF-8 bytes (S3's) are the same.
 */
export function isKey(key: string): boolean {
  if (key.length === 0 || key.length > maxKeyUnits) return false;
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i);
    if (unit === 0 || unit >= 0xd800) return false;
  }
  return key.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Throws `store/failed` for a key that `isKey` refuses. */
export function checkKey(key: string): void {
  if (isKey(key)) return;
  throw new HeadwaterError(
    "store/failed",
    `${JSON.stringify(key)} is not a key: it must be a relative path of at most ${maxKeyUnits} characters without empty, "." or ".." parts.`,
  );
}
