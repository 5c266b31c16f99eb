// A database of a fleet that changes is woken for a moment, as a rule: what has changed is put, and it rests again. What
// can wait until it is awake for longer, or until its upkeep is due, is not done each time: it would cost many times what
// the file itself does (docs/decisions/012-databases-at-rest.md).
import type { Clock } from "../../core/base/clock.ts";
import type { EndedRest, EngineParts } from "./parts.ts";

/** So long it is awake for a moment: until it is quiet, and the next sweep has found that. */
const briefMs = 90_000;

/** From when on something is done that is left out at first, on the clock that nobody sets, ms; 0 = from the start. */
export interface BriefWake {
  /** Levels, images, retention and verification. */
  readonly upkeepFromMs: number;
  /** The lease is taken. Before that it is only looked at, where the name of a file fences it. */
  readonly leaseFromMs: number;
}

/** What an engine leaves out that may be put to rest, or may not (`mayRest`). */
export function briefWakeOf(
  { mayRest, endedRest }: { readonly mayRest: boolean; readonly endedRest: EndedRest | undefined },
  clock: Clock,
): BriefWake {
  // Without a rest nobody knows what is due: were it left for later, a process that is started over and over would never do it.
  if (!mayRest || endedRest === undefined) return { upkeepFromMs: 0, leaseFromMs: 0 };
  const { dueAtMs, isUndisturbed, wasWatched } = endedRest;
  const fromMs = clock.monotonicMs() + briefMs;
  const isDue = dueAtMs !== undefined && dueAtMs <= clock.nowMs();
  return {
    upkeepFromMs: isUndisturbed || isDue ? 0 : fromMs,
    // What a start of the process finds changed takes the lease: a second process is told before it puts anything.
    leaseFromMs: wasWatched ? fromMs : 0,
  };
}

/** How long upkeep is left for later, ms. */
export function msUntilUpkeep({ brief, clock }: Pick<EngineParts, "brief" | "clock">): number {
  return Math.max(0, brief.upkeepFromMs - clock.monotonicMs());
}
