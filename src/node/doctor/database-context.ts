// What the checks of one database have in common.
import type { Waiting } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";

export interface DatabaseCheckOptions extends Waiting {
  readonly clock: Clock;
  readonly stateDir?: string | undefined;
  readonly metaPath?: string | undefined;
  readonly maxWalSizeBytes: number;
  readonly maxStagingBytes: number;
  /** Headwater waits for a database that a configuration file lists; one that was named should be there. */
  readonly mayBeMissing: boolean;
}

/** A database, found. */
export interface DatabaseContext extends DatabaseCheckOptions {
  /** With links followed. */
  readonly path: string;
  readonly stateDirectory: string;
}

/** Who we are, for messages about permissions. */
export function userText(): string {
  const uid = process.getuid?.();
  return uid === undefined ? "this user" : `user ${uid}`;
}
