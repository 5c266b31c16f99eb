// Why a database of a fleet needs no engine for now, and what the next engine is to know of that.
import { nodeFileSystem } from "../file/node-file-system.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import type { FleetRunEnvironment } from "./fleet-environment.ts";
import type { EndedRest } from "./parts.ts";
import { readRestRecord, restPurpose } from "./rest-record.ts";
import type { RestRecord } from "./rest-record.ts";
import { hasChangedSince } from "./sleep.ts";
import type { WakeReason } from "./sleep.ts";
import { realPathOf, stateDirectoryOf } from "./state-directory.ts";

/** The database is at rest or, without a record, not there. */
export interface Pause {
  readonly record: RestRecord | undefined;
  /** On the clock that nobody sets, ms: nothing was put into the replica since, by us. */
  readonly sinceMs: number;
}

/** The pause in which an earlier run has left the database, or else what that had left to do. */
export async function findPause(
  { path, stateDir, ...options }: ResolvedOptions,
  { clock, parts, hibernation }: FleetRunEnvironment,
): Promise<{ readonly pause?: Pause; readonly left?: EndedRest }> {
  if (!hibernation.isOn) return {};
  const fileSystem = parts?.fileSystem ?? nodeFileSystem;
  const stateDirectory = stateDir ?? stateDirectoryOf(path);
  const record = await readRestRecord({ fileSystem, stateDirectory });
  if (record === undefined) return {};
  const sinceMs = clock.monotonicMs();
  const isOurs = record.purpose === restPurpose({ path, stateDir, ...options });
  if (isOurs && !hasChangedSince(record, realPathOf(path))) return { pause: { record, sinceMs } };
  const { hasDueLevels } = record;
  return { left: { sinceMs, hasDueLevels, isUndisturbed: false, wasWatched: false } };
}

/** What ended the pause; `undefined` if it was none from which an engine goes on. */
export function endedRestOf({ record, sinceMs }: Pause, why: WakeReason): EndedRest | undefined {
  if (record === undefined) return undefined;
  const { hasDueLevels } = record;
  return { sinceMs, hasDueLevels, isUndisturbed: why === "upkeep", wasWatched: true };
}
