// Checks of our own reasoning. A failed assertion is a bug in Headwater, never a fault of its input.

/** Throws when `condition` is false. For our own bugs only: bad input gets a `HeadwaterError`. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Headwater bug: ${message}`);
}

/** Marks a branch that the type checker has proved impossible. */
export function unreachable(value: never): never {
  throw new Error(`Headwater bug: unexpected value ${String(value)}`);
}

/** Returns `value`, which our own logic guarantees to be there. */
export function must<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new Error(`Headwater bug: missing ${what}`);
  return value;
}
