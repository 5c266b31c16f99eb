// A database of a fleet from its start to its stop, with whatever pauses between. An engine that fails is tried again
// and again; one that has met another writer stays stopped.
import { backoffMs, orAborted } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Random } from "../../core/base/random.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import { startEngine } from "./running-engine.ts";
import type { RunningEngine } from "./running-engine.ts";
import { finishStarting, stopEngine } from "./shutdown.ts";
import type { ShutdownLimit } from "./shutdown.ts";
import type { Waiting } from "./waiting.ts";

/** What a fleet is told to replicate. */
export interface FleetMember {
  readonly options: ResolvedOptions;
  /** Runs before each start of an engine, and does nothing once it has succeeded. */
  readonly prepare: (waiting: { readonly signal: AbortSignal }) => Promise<void>;
  /** One for each replica, the same for two URLs that lead to the same one; without them, the URLs themselves. */
  readonly replicaIdentities?: readonly string[] | undefined;
}

export interface FleetEnvironment {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

const restartBackoff = { firstMs: 1_000, maxMs: 60_000 };

/**
 * After these the engine stays stopped: a second start would take the replica over from the other writer, or stop the
 * Litestream, without anybody having decided so.
 */
const finalCodes = ["engine/another-writer", "engine/litestream"] as const;

/** An engine that has run for so long is not failing over and over: the next pause is short again. */
const soundRunMs = 300_000;

export class FleetRun {
  readonly #member: FleetMember;
  readonly #environment: FleetEnvironment;
  /** Ends pauses and preparations, and forbids another start. */
  readonly #stopping = new AbortController();
  /** Gives up a start that is under way. */
  readonly #giveUp = new AbortController();
  readonly #ended: Promise<void>;
  /** Settled when an engine replicates, or has failed to get there. */
  #attempt = newAttempt();
  #starting: Promise<RunningEngine> | undefined;
  #engine: RunningEngine | undefined;
  #failure: { readonly error: unknown } | undefined;
  #hasGivenUp = false;

  /** Starts at once. */
  constructor(member: FleetMember, environment: FleetEnvironment) {
    this.#member = member;
    this.#environment = withDatabase(environment, member.options.path);
    this.#ended = this.#live();
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** The engine at work. */
  get engine(): RunningEngine | undefined {
    return this.#engine;
  }

  /** True after a failure that is not tried again. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp;
  }

  /** What ended the last engine, or kept it from starting; `undefined` once one replicates. */
  get failure(): unknown {
    return this.#failure?.error;
  }

  /** The engine, as soon as it replicates. Rejects with what has kept the present attempt from that. */
  started(waiting: Waiting): Promise<RunningEngine> {
    return orAborted(this.#attempt.promise, waiting);
  }

  /** Stops after a last sync; what went wrong is `failure`. */
  async stop(limit: ShutdownLimit): Promise<void> {
    const { path } = this.#member.options;
    this.#stopping.abort();
    try {
      if (this.#starting !== undefined) {
        const engine = await finishStarting(this.#starting, this.#giveUp, { path, limit });
        if (engine !== undefined) await stopEngine(engine, limit);
        else if (limit.signal.aborted) throw givenUp(limit);
      }
    } catch (error) {
      this.#failure = { error };
    }
    await this.#ended;
  }

  async #live(): Promise<void> {
    const { logger, clock, random } = this.#environment;
    const { signal } = this.#stopping;
    let isPrepared = false;
    for (let failures = 1; ; failures++) {
      const startedMs = clock.monotonicMs();
      try {
        await this.#member.prepare({ signal });
        isPrepared = true;
        if (signal.aborted) return;
        await this.#replicate();
        return;
      } catch (error) {
        this.#attempt.reject(error);
        // Told to stop. A restore that was broken off has changed nothing, a start that was given up is no failure.
        if (signal.aborted && (!isPrepared || this.#giveUp.signal.aborted)) return;
        this.#failure = { error };
        if (signal.aborted) return;
        if (hasCode(error, ...finalCodes)) {
          this.#hasGivenUp = true;
          logger.log("error", "database.stopped", { error: error.message });
          return;
        }
        if (clock.monotonicMs() - startedMs > soundRunMs) failures = 1;
        const waitMs = backoffMs(failures, restartBackoff, random);
        logger.log("error", "database.failed", { error: messageOf(error), againInMs: waitMs });
        await clock.sleep(waitMs, { signal }).catch(() => undefined);
        if (signal.aborted) return;
        this.#attempt = newAttempt();
      } finally {
        if (signal.aborted) this.#attempt.reject(stopped(this.#member.options.path));
      }
    }
  }

  /** Starts an engine and waits for its end; throws if that was not our doing. */
  async #replicate(): Promise<void> {
    const { logger } = this.#environment;
    const starting = startEngine(this.#member.options, { logger }, { signal: this.#giveUp.signal });
    this.#starting = starting;
    try {
      const engine = await starting;
      this.#failure = undefined;
      this.#engine = engine;
      this.#attempt.resolve(engine);
      try {
        await engine.ended();
      } catch (error) {
        // Its loops have ended: this only lets go of the database.
        await engine.stop({ signal: this.#giveUp.signal });
        this.#attempt = newAttempt();
        throw error;
      }
    } finally {
      this.#engine = undefined;
      if (!this.#stopping.signal.aborted) this.#starting = undefined;
    }
  }
}

function newAttempt(): PromiseWithResolvers<RunningEngine> {
  const attempt = Promise.withResolvers<RunningEngine>();
  // It may be that nobody asks.
  attempt.promise.catch(() => undefined);
  return attempt;
}

function stopped(path: string): HeadwaterError {
  return new HeadwaterError("engine/stopped", `The replication of ${path} was stopped.`);
}

function givenUp({ describe }: ShutdownLimit): HeadwaterError {
  return new HeadwaterError(
    "engine/stopped",
    `Starting was given up ${describe()}. What is not in the replica yet goes up at the next start.`,
  );
}

/** Tells whose event it is. */
function withDatabase(environment: FleetEnvironment, db: string): FleetEnvironment {
  const { logger } = environment;
  return {
    ...environment,
    logger: { log: (level, event, fields) => logger.log(level, event, { db, ...fields }) },
  };
}
