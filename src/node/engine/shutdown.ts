// Ending an engine in order: what is committed is uploaded first, within a limit.
import { statSync } from "node:fs";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import type { RunningEngine } from "./running-engine.ts";

/** When the last uploads are given up. */
export interface ShutdownLimit {
  /** Aborts when the time is over. */
  readonly signal: AbortSignal;
  /** Words for why: `after 30 s`. */
  readonly describe: () => string;
}

/** A limit that begins now, for everything that is stopped with it. `second` gives up at once. */
export function startShutdownLimit(limitMs: number, second: AbortSignal): ShutdownLimit {
  return {
    signal: AbortSignal.any([AbortSignal.timeout(limitMs), second]),
    describe: () => (second.aborted ? "at a second signal" : `after ${limitMs / 1000} s`),
  };
}

/**
 * The engine that is being started, or `undefined` if it does not get that far. What is committed when we are told to
 * stop is replicated even if the engine had only begun; a database that is not there is not waited for.
 */
export async function finishStarting(
  starting: Promise<RunningEngine>,
  giveUp: AbortController,
  { path, limit: { signal } }: { readonly path: string; readonly limit: ShutdownLimit },
): Promise<RunningEngine | undefined> {
  const onAbort = (): void => giveUp.abort();
  const hasDatabase = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
  if (!hasDatabase || signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  try {
    return await starting;
  } catch {
    // Its failure, if it was one, has been told by whoever waits for it.
    return undefined;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Stops an engine that may still be starting, after a last sync. Throws if that was given up, or failed. */
export async function stopStarting(
  starting: Promise<RunningEngine>,
  giveUp: AbortController,
  { path, limit }: { readonly path: string; readonly limit: ShutdownLimit },
): Promise<void> {
  const engine = await finishStarting(starting, giveUp, { path, limit });
  if (engine !== undefined) await stopEngine(engine, limit);
  else if (limit.signal.aborted) throw startGivenUp(limit);
}

/** The error for a start that was given up. */
export function startGivenUp({ describe }: ShutdownLimit): HeadwaterError {
  return new HeadwaterError(
    "engine/stopped",
    `Starting was given up ${describe()}. What is not in the replica yet goes up at the next start.`,
  );
}

/** Stops after a last sync. Throws if something could not be uploaded. */
export async function stopEngine(
  engine: RunningEngine,
  { signal, describe }: ShutdownLimit,
): Promise<void> {
  try {
    await engine.stop({ signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    const behind = hasCode(error, "engine/replicas") ? `${error.message}\n` : "";
    throw new HeadwaterError(
      "engine/stopped",
      `${behind}The last upload was given up ${describe()}. ` +
        "Nothing is lost: staged files stay in the state directory and go up at the next start.",
      { cause: error },
    );
  }
}
