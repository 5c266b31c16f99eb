// What a running Headwater can be told to do with its databases. The routes of the control socket call it; whatever is
// asked twice is done once.
import { existsSync } from "node:fs";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import type { Fleet } from "../engine/fleet.ts";
import { hasSameReplicas } from "../engine/fleet.ts";
import type { FleetDatabase, FleetFailure } from "../engine/fleet-database.ts";
import type { FleetMember } from "../engine/fleet-environment.ts";
import { startShutdownLimit } from "../engine/shutdown.ts";
import { realPathOf } from "../engine/state-directory.ts";
import { statusOf, syncDatabase } from "./database-calls.ts";

export interface ControlOptions {
  readonly fleet: Fleet;
  readonly clock: Clock;
  /** A database that is to be registered, with the defaults of the configuration. Throws `usage/invalid`. */
  readonly memberFor: (path: string, replicaUrl: string) => FleetMember;
}

export interface TimeLimit {
  readonly timeoutMs: number;
  /** Whoever asked is gone. */
  readonly signal: AbortSignal;
}

export interface Outcome<Status extends string> {
  readonly status: Status;
  readonly path: string;
  /** The newest on local disk; 0 = none. */
  readonly txid: bigint;
}

/** How long a registration waits for the first failure of what it has started. */
const registrationMs = 10_000;

/** A stop that has begun goes on within its own time, also when Headwater is told to end. */
const never = new AbortController().signal;

export class Control implements Disposable {
  readonly fleet: Fleet;
  readonly startedAtMs: number;
  readonly #options: ControlOptions;
  readonly #ending = new AbortController();

  constructor(options: ControlOptions) {
    this.#options = options;
    this.fleet = options.fleet;
    this.startedAtMs = options.clock.nowMs();
  }

  /** Nothing is begun any more, and whoever waits is told so. */
  [Symbol.dispose](): void {
    this.#ending.abort(new HeadwaterError("engine/stopped", "Headwater is being stopped."));
  }

  /** Throws `control/unknown-database`. */
  find(path: string): FleetDatabase {
    const found = this.#find(path);
    if (found !== undefined) return found;
    throw new HeadwaterError(
      "control/unknown-database",
      `${path} is not among the databases of this Headwater. headwater list prints them.`,
      { data: { path } },
    );
  }

  /** Resolves when the database replicates. */
  async start(path: string, limit: TimeLimit): Promise<Outcome<"started" | "already_running">> {
    this.#ending.signal.throwIfAborted();
    const database = this.find(path);
    const isNew = database.start();
    await this.#inTime(
      (signal) => database.started({ signal }),
      limit,
      () => `${database.path} does not replicate yet. It was started, and goes on by itself.`,
    );
    return outcome(isNew ? "started" : "already_running", database);
  }

  /** Stops after a last sync. Throws `control/refused` if something is not in the replica; it is stopped all the same. */
  async stop(
    path: string,
    { timeoutMs }: TimeLimit,
  ): Promise<Outcome<"stopped" | "already_stopped">> {
    const database = this.find(path);
    const wasStopped = database.isStopped;
    throwUnfinished(await database.stop(startShutdownLimit(timeoutMs, never)));
    return outcome(wasStopped ? "already_stopped" : "stopped", database);
  }

  /** Resolves when what is committed is staged, or with `wait` in the replica. Throws `engine/stopped`. */
  async sync(
    path: string,
    { wait, ...limit }: TimeLimit & { readonly wait: boolean },
  ): Promise<
    Outcome<"no_change" | "synced" | "synced_local"> & { readonly replicatedTxid: bigint }
  > {
    this.#ending.signal.throwIfAborted();
    const database = this.find(path);
    const before = await statusOf(database);
    const txid = await this.#inTime(
      (signal) => syncDatabase(database, { wait, signal }),
      limit,
      (after) => `${database.path} was not ${wait ? "in its replica" : "captured"} ${after}.`,
    );
    const { replicatedTxid } = await statusOf(database);
    const isNew = txid !== before.txid || (wait && before.replicatedTxid < txid);
    const status = !isNew ? "no_change" : wait ? "synced" : "synced_local";
    return { status, path: database.path, txid, replicatedTxid };
  }

  /**
   * Takes a database in. One that fails at once is not kept. Throws `engine/fleet` if it, or its replica, belongs to
   * something else already.
   */
  async register(
    path: string,
    replicaUrl: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<{ readonly status: "registered" | "already_registered"; readonly path: string }> {
    this.#ending.signal.throwIfAborted();
    const member = this.#options.memberFor(path, replicaUrl);
    const known = this.#find(path);
    if (known !== undefined) {
      if (hasSameReplicas(known.member, member))
        return { status: "already_registered", path: known.path };
      throw new HeadwaterError(
        "engine/fleet",
        `${known.path} is replicated to another replica already. Unregister it first.`,
      );
    }
    const database = this.fleet.add(member);
    await this.#throwEarlyFailure(database, signal);
    return { status: "registered", path: database.path };
  }

  /** Stops after a last sync and forgets the database. It comes back if the configuration file lists it. */
  async unregister(
    path: string,
    { timeoutMs }: TimeLimit,
  ): Promise<Outcome<"unregistered" | "already_unregistered">> {
    const database = this.#find(path);
    if (database === undefined) return { status: "already_unregistered", path, txid: 0n };
    throwUnfinished(await this.fleet.remove(database.path, startShutdownLimit(timeoutMs, never)));
    return outcome("unregistered", database);
  }

  #find(path: string): FleetDatabase | undefined {
    const named = this.fleet.get(path);
    if (named !== undefined) return named;
    const real = realPathOf(path);
    return this.fleet.databases.find((database) => realPathOf(database.path) === real);
  }

  async #throwEarlyFailure(database: FleetDatabase, asking: AbortSignal): Promise<void> {
    // It may come later; nobody needs to wait for it.
    if (!existsSync(database.path)) return;
    const patience = AbortSignal.timeout(registrationMs);
    const signal = AbortSignal.any([patience, asking, this.#ending.signal]);
    try {
      await database.started({ signal });
    } catch (error) {
      if (signal.aborted) return;
      await this.fleet.remove(database.path, startShutdownLimit(0, never));
      throw new HeadwaterError(
        "control/refused",
        `${database.path} was not registered: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  /** `work` under the limit. `tooLate` gets words for the time and says what is still to come. */
  async #inTime<T>(
    work: (signal: AbortSignal) => Promise<T>,
    { timeoutMs, signal: asking }: TimeLimit,
    tooLate: (after: string) => string,
  ): Promise<T> {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      return await work(AbortSignal.any([timeout, asking, this.#ending.signal]));
    } catch (error) {
      if (!timeout.aborted || hasCode(error, "engine/stopped")) throw error;
      throw new HeadwaterError("control/timeout", tooLate(`after ${timeoutMs / 1000} s`), {
        cause: error,
      });
    }
  }
}

async function outcome<Status extends string>(
  status: Status,
  database: FleetDatabase,
): Promise<Outcome<Status>> {
  const { txid } = await statusOf(database);
  return { status, path: database.path, txid };
}

function throwUnfinished(failure: FleetFailure | undefined): void {
  if (failure === undefined) return;
  throw new HeadwaterError(
    "control/refused",
    `${failure.path} is stopped, and not everything is in its replica: ${messageOf(failure.error)}`,
    { cause: failure.error },
  );
}
