// An attempt to replicate a database of a fleet, for those who wait for it.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { RunningEngine } from "./running-engine.ts";

/** Gives an engine, or `undefined` because the database is at rest. */
export type Attempt = PromiseWithResolvers<RunningEngine | undefined>;

export function newAttempt(): Attempt {
  const attempt: Attempt = Promise.withResolvers();
  // It may be that nobody asks.
  attempt.promise.catch(() => undefined);
  return attempt;
}

/** What those get who wait while it is stopped. */
export function attemptEnded(path: string): HeadwaterError {
  return new HeadwaterError("engine/stopped", `The replication of ${path} was stopped.`);
}
