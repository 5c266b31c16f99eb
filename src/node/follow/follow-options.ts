// What to follow, into which file, and what is told about it.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { IntegrityCheck } from "../restore/sqlite-process.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";

/** Defaults of `follow`; Litestream's where it has them. */
export const followDefaults = Object.freeze({
  intervalMs: 1000,
  parallelism: 8,
  integrityCheck: "none",
  force: false,
});

export interface FollowOptions {
  /** Path of the database that is kept up to date. It is made if it does not exist. */
  readonly output: string;
  /** How often the replica is asked for news; up to ten times as long while there are none. */
  readonly intervalMs?: number | undefined;
  /** What opens the replica's store; without it the environment. Never logged. */
  readonly secrets?: StoreSecrets | undefined;
  /**
   * Address of the database at its primary, such as `http://127.0.0.1:9090/databases/app`: what it has staged is applied at once,
   * before it is in the store. While the primary is away the store is read as ever.
   */
  readonly push?: string | undefined;
  /** What the primary asks for. Never logged. */
  readonly pushToken?: string | undefined;
  /** Make a database that was not made by following the output, in place; what is no database is replaced. */
  readonly force?: boolean | undefined;
  /** SQLite's own check of the first state before it is put in place. */
  readonly integrityCheck?: IntegrityCheck | undefined;
  /** Requests to the store at once; each holds at most 8 MiB of memory. */
  readonly parallelism?: number | undefined;
}

/** `FollowOptions` with nothing left open. */
export interface ResolvedFollowOptions {
  readonly url: string;
  readonly output: string;
  readonly intervalMs: number;
  readonly secrets: StoreSecrets | undefined;
  readonly push: string | undefined;
  readonly pushToken: string | undefined;
  readonly force: boolean;
  readonly integrityCheck: IntegrityCheck;
  readonly parallelism: number;
}

/** Fills in the defaults. Throws `usage/invalid`. */
export function resolveFollowOptions(url: string, options: FollowOptions): ResolvedFollowOptions {
  const { output, secrets, push, pushToken } = options;
  const intervalMs = options.intervalMs ?? followDefaults.intervalMs;
  const parallelism = options.parallelism ?? followDefaults.parallelism;
  if (output === "") throw new HeadwaterError("usage/invalid", "output must be a path.");
  if (!(intervalMs > 0)) throw new HeadwaterError("usage/invalid", "intervalMs must be above 0.");
  if (!Number.isInteger(parallelism) || parallelism < 1) {
    throw new HeadwaterError("usage/invalid", "parallelism must be a whole number of at least 1.");
  }
  return {
    url,
    output,
    intervalMs,
    secrets,
    push,
    pushToken,
    parallelism,
    force: options.force ?? followDefaults.force,
    integrityCheck: options.integrityCheck ?? followDefaults.integrityCheck,
  };
}

export interface FollowStatus {
  /** Absolute, symbolic links resolved. */
  readonly output: string;
  /** What readers of the output see. */
  readonly txid: Txid;
  /** When that TXID was captured. */
  readonly timestampMs: number;
  /** From its capture until it was in the output; `undefined`: it was there at the start. */
  readonly lagMs: number | undefined;
  /** When the replica was last asked and had nothing newer; `undefined` = not yet. */
  readonly upToDateAtMs: number | undefined;
  /** What keeps it from going on; `undefined` = nothing. */
  readonly lastError: string | undefined;
}
