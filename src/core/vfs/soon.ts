// Work on a SQLite that answers at once, or in a promise where it can wait for a page: written once, as a generator that hands
// over each promise it has to wait for.
import { assert, must } from "../base/assert.ts";

/** A value that is there, or will be. */
export type Soon<T> = T | Promise<T>;

/** Such work. */
export type Steps<T> = Generator<Promise<void>, T, void>;

/** The value, waited for if need be. */
export function* settled<T>(value: Soon<T>): Steps<T> {
  if (!(value instanceof Promise)) return value;
  let result: { readonly value: T } | undefined;
  const wait = async (): Promise<void> => {
    result = { value: await value };
  };
  yield wait();
  return must(result, "value that was waited for").value;
}

/** Does work on a SQLite that answers at once. */
export function runNow<T>(steps: Steps<T>): T {
  const { done, value } = steps.next();
  assert(done === true, "a SQLite that answers at once has not");
  return value;
}

/** Does work on a SQLite that may wait. */
export async function runSoon<T>(steps: Steps<T>): Promise<T> {
  let next = steps.next();
  while (next.done !== true) {
    try {
      await next.value;
    } catch (error) {
      next = steps.throw(error);
      continue;
    }
    next = steps.next();
  }
  return next.value;
}
