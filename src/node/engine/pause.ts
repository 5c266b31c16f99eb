// Why a database of a fleet needs no engine for now, and what the next engine is to know of that.
import { nodeFileSystem } from "../file/node-file-system.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import type { FleetRunEnvironment } from "./fleet-environment.ts";
import type { EndedRest } from "./parts.ts";
import { newPutTimes } from "./put-times.ts";
import type { PutTimes } from "./put-times.ts";
import { readRestRecord } from "./rest-record.ts";
import type { RestRecord } from "./rest-record.ts";
import { hasChangedSince } from "./sleep.ts";
import type { WakeReason } from "./sleep.ts";
import { stateDirectoryOf } from "./state-directory.ts";

/** The database is at rest or, without a record, not there. */
export interface Pause {
  readonly record: RestRecord | undefined;
  readonly putTimes: PutTimes;
}

/** The pause in which an earlier run has left the database, or else what that had left to do. */
export async function findPause(
  { path, stateDir }: ResolvedOptions,
  { realPath, purpose }: { readonly realPath: string; readonly purpose: string },
  { clock, parts, hibernation }: FleetRunEnvironment,
): Promise<{ readonly pause?: Pause; readonly left?: EndedRest }> {
  if (!hibernation.isOn) return {};
  const fileSystem = parts?.fileSystem ?? nodeFileSystem;
  const stateDirectory = stateDir ?? stateDirectoryOf(path);
  const record = await readRestRecord({ fileSystem, stateDirectory });
  if (record === undefined) return {};
  const putTimes = newPutTimes(clock);
  if (record.purpose === purpose && !hasChangedSince(record, realPath))
    return { pause: { record, putTimes } };
  const { hasDueLevels, dueAtMs } = record;
  const isUndisturbed = false;
  const wasWatched = false;
  return { left: { putTimes, hasDueLevels, dueAtMs, isUndisturbed, wasWatched } };
}

/** There is no database at the path, or only an empty file. */
export function isGone(path: string): boolean {
  return !hasChangedSince(undefined, path);
}

/** What ended the pause; `undefined` if it was none from which an engine goes on. */
export function endedRestOf({ record, putTimes }: Pause, why: WakeReason): EndedRest | undefined {
  if (record === undefined) return undefined;
  const { hasDueLevels, dueAtMs } = record;
  const isUndisturbed = why === "upkeep";
  return { putTimes, hasDueLevels, dueAtMs, isUndisturbed, wasWatched: true };
}
