// What can be wrong between an open replica and the thread that has its SQLite.
import { HeadwaterError, messageOf } from "../base/errors.ts";

/** The error of whoever asks too late. */
export function closed(cause?: Error): HeadwaterError {
  return new HeadwaterError(
    "query/closed",
    cause === undefined
      ? "The replica was closed. Open it again."
      : `The thread that SQLite runs in has ended: ${cause.message}. Open the replica again.`,
    { cause },
  );
}

/** Posts a request with parameters. Throws `usage/invalid` for one that cannot be sent. */
export function postRequest(post: () => void): void {
  try {
    post();
  } catch (cause) {
    throw new HeadwaterError(
      "usage/invalid",
      `A parameter is no value that SQLite has (${messageOf(cause)}): give strings, numbers, bigints, booleans, ` +
        "Uint8Arrays or null.",
      { cause },
    );
  }
}
