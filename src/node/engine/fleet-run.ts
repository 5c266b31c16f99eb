// A database of a fleet from its start to its stop, with whatever pauses between. While nothing happens to it, it is at
// rest and has no engine. An engine that fails is tried again and again; one that has met another writer stays stopped.
import { orAborted } from "../../core/base/async.ts";
import { hasCode, messageOf } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { EngineStatus } from "./engine-status.ts";
import { attemptEnded, newAttempt } from "./fleet-attempt.ts";
import { withDatabase } from "./fleet-environment.ts";
import type { FleetMember, FleetRunEnvironment } from "./fleet-environment.ts";
import { continueCounts, statusAsleep } from "./fleet-status.ts";
import { FleetTurn, startMember } from "./fleet-turn.ts";
import type { EndedRest } from "./parts.ts";
import { endedRestOf, findPause, isGone } from "./pause.ts";
import type { Pause } from "./pause.ts";
import { newPutTimes } from "./put-times.ts";
import type { PutTimes } from "./put-times.ts";
import { restPurpose } from "./rest-record.ts";
import { Restarts } from "./restarts.ts";
import type { RunningEngine } from "./running-engine.ts";
import { startGivenUp, stopStarting } from "./shutdown.ts";
import type { ShutdownLimit } from "./shutdown.ts";
import { Sleep, hasChangedSince } from "./sleep.ts";
import type { WakeReason } from "./sleep.ts";
import { realPathOf } from "./state-directory.ts";
import type { Waiting } from "./waiting.ts";

export class FleetRun {
  readonly #member: FleetMember;
  readonly #environment: FleetRunEnvironment;
  readonly #purpose: string;
  /** Ends pauses and preparations, and forbids another start. */
  readonly #stopping = new AbortController();
  /** Gives up a start that is under way. */
  readonly #giveUp = new AbortController();
  readonly #ended: Promise<void>;
  /** Settled when an engine replicates, none is needed, or it has failed to get there. */
  #attempt = newAttempt();
  /** `undefined` while no engine is needed; the last one once it is told to stop. */
  #turn: FleetTurn | undefined;
  #sleep: Sleep | undefined;
  /** While it is awake for upkeep alone. */
  #upkeepWake: Disposable | undefined;
  /** `undefined` while an engine is needed. */
  #pause: Pause | undefined;
  /** With links followed; looked for whenever an engine or a pause begins. */
  #realPath: string;
  #putTimes: PutTimes;
  /** Of the engines before the present one. */
  #earlier: EngineStatus | undefined;
  #failure: { readonly error: unknown } | undefined;
  #hasGivenUp = false;

  /** Starts at once. */
  constructor(member: FleetMember, environment: FleetRunEnvironment) {
    this.#member = member;
    this.#environment = withDatabase(environment, member.options.path);
    this.#purpose = restPurpose(member.options);
    this.#realPath = member.options.path;
    this.#putTimes = newPutTimes(environment.clock);
    this.#ended = this.#live();
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** The engine at work. */
  get engine(): RunningEngine | undefined {
    return this.#turn?.engine;
  }

  /** True after a failure that is not tried again. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp;
  }

  /** What ended the last engine, or kept it from starting; `undefined` once one replicates. */
  get failure(): unknown {
    return this.#failure?.error;
  }

  /** `undefined` while there is no engine although there should be one. */
  get status(): EngineStatus | undefined {
    const now =
      this.#sleep === undefined
        ? this.engine?.status()
        : statusAsleep(this.#member.options.path, this.#sleep.record);
    return now && continueCounts(now, this.#earlier);
  }

  /** Resolves as soon as it replicates or rests. Rejects with what has kept the present attempt from that. */
  async started(waiting: Waiting): Promise<void> {
    await orAborted(this.#attempt.promise, waiting);
  }

  /** Resolves when everything committed before the call is in the replica; wakes it only if something was. */
  sync(waiting: Waiting): Promise<Txid> {
    return this.#ask((engine) => engine.sync(waiting), waiting);
  }

  /** As `sync`, but resolves when it is staged on local disk. */
  stage(waiting: Waiting): Promise<Txid> {
    return this.#ask((engine) => engine.stage(waiting), waiting);
  }

  async #ask(request: (engine: RunningEngine) => Promise<Txid>, waiting: Waiting): Promise<Txid> {
    for (;;) {
      const engine = await orAborted(this.#attempt.promise, waiting);
      if (engine === undefined) {
        const sleep = this.#sleep;
        const record = sleep?.hasChanged() === false ? sleep.record : undefined;
        if (record !== undefined) return record.txid;
        sleep?.wake("change");
        continue;
      }
      try {
        return await orAborted(request(engine), waiting);
      } catch (error) {
        const isPausing = this.#turn?.pausing !== undefined || this.engine !== engine;
        if (!hasCode(error, "engine/stopped") || this.isStopping || !isPausing) throw error;
        // It was ended at that moment, because nothing had been left to do.
        await this.#turn?.pausing;
      }
    }
  }

  /** Stops after a last sync; what went wrong is `failure`. */
  async stop(limit: ShutdownLimit): Promise<void> {
    const { path } = this.#member.options;
    this.#stopping.abort();
    try {
      const starting = this.#turn?.starting;
      if (starting !== undefined) await stopStarting(starting, this.#giveUp, { path, limit });
      await this.#ended;
      // Something may have happened that nobody has seen yet.
      if (this.#pause !== undefined && hasChangedSince(this.#pause.record, this.#realPath)) {
        await this.#syncLast(this.#pause, limit);
      }
    } catch (error) {
      this.#failure = { error };
    }
    await this.#ended;
  }

  async #syncLast(pause: Pause, limit: ShutdownLimit): Promise<void> {
    const { path } = this.#member.options;
    const waiting = { signal: limit.signal, isUrgent: true };
    using _ = await this.#environment.hibernation.takePlace(waiting).catch(() => {
      throw startGivenUp(limit);
    });
    const ended = endedRestOf(pause, "change");
    const { signal } = this.#giveUp;
    const starting = startMember(this.#member, this.#environment, { ended, signal });
    await stopStarting(starting, this.#giveUp, { path, limit });
  }

  async #live(): Promise<void> {
    const { logger, clock } = this.#environment;
    const { signal } = this.#stopping;
    const restarts = new Restarts(this.#environment);
    for (;;) {
      restarts.noteBegin();
      try {
        await this.#member.prepare({ signal });
        if (signal.aborted) return;
        await this.#alternate();
        return;
      } catch (error) {
        this.#attempt.reject(error);
        // Told to stop. What had not begun has changed nothing, a start that was given up is no failure.
        const hasBegun = this.#turn?.starting !== undefined;
        if (signal.aborted && (!hasBegun || this.#giveUp.signal.aborted)) return;
        this.#failure = { error };
        this.#putTimes = newPutTimes(clock);
        if (signal.aborted) return;
        const waitMs = restarts.noteFailure(error);
        if (waitMs === undefined) {
          this.#hasGivenUp = true;
          logger.log("error", "database.stopped", { error: messageOf(error) });
          return;
        }
        logger.log("error", "database.failed", { error: messageOf(error), againInMs: waitMs });
        await clock.sleep(waitMs, { signal }).catch(() => undefined);
        if (signal.aborted) return;
        this.#attempt = newAttempt();
      } finally {
        this.#upkeepWake?.[Symbol.dispose]();
        if (signal.aborted) this.#attempt.reject(attemptEnded(this.#member.options.path));
      }
    }
  }

  /** Pauses and engines in turn, until it is told to stop. */
  async #alternate(): Promise<void> {
    const { path } = this.#member.options;
    this.#realPath = realPathOf(path);
    const place = { realPath: this.#realPath, purpose: this.#purpose };
    const found = await findPause(this.#member.options, place, this.#environment);
    this.#pause = found.pause;
    let ended = found.left;
    for (;;) {
      if (isGone(path)) this.#pause ??= { record: undefined, putTimes: this.#putTimes };
      if (this.#pause !== undefined) {
        const why = await this.#sleepUntilWoken(this.#pause);
        if (why === undefined) return;
        ended = endedRestOf(this.#pause, why) ?? ended;
        this.#pause = undefined;
        // What has changed may be that it was deleted.
        if (isGone(path)) continue;
      }
      this.#pause = await this.#replicate(ended);
      if (this.#pause === undefined) return;
      this.#putTimes = this.#pause.putTimes;
    }
  }

  /** `undefined`: it is told to stop. */
  async #sleepUntilWoken({ record }: Pause): Promise<WakeReason | undefined> {
    const { hibernation, logger } = this.#environment;
    const { path } = this.#member.options;
    let isAnswered = false;
    this.#realPath = realPathOf(path);
    using sleep = new Sleep(this.#realPath, record, hibernation, (why) => {
      this.#sleep = undefined;
      if (isAnswered) this.#attempt = newAttempt();
      if (why === "upkeep") this.#upkeepWake = hibernation.noteUpkeepWake();
    });
    this.#sleep = sleep;
    // What came while the engine ended.
    sleep.look();
    if (this.#sleep !== undefined && record !== undefined) {
      this.#failure = undefined;
      this.#attempt.resolve(undefined);
      isAnswered = true;
      logger.log("debug", "database.hibernated", { txid: formatTxid(record.txid) });
    } else if (this.#sleep !== undefined) {
      logger.log("warn", "database.waiting", { path, why: "There is no database yet." });
    }
    try {
      const why = await orAborted(sleep.woken, this.#stopping);
      logger.log("debug", "database.woken", { why });
      return why;
    } catch (error) {
      if (!this.isStopping) throw error;
      return undefined;
    } finally {
      this.#sleep = undefined;
    }
  }

  /** Runs an engine to its end. Returns why it is not needed, `undefined` after our stop; throws for any other end. */
  async #replicate(ended: EndedRest | undefined): Promise<Pause | undefined> {
    using _ = this.#upkeepWake;
    const turn = new FleetTurn({
      member: this.#member,
      environment: this.#environment,
      purpose: this.#purpose,
      ended,
      putTimes: this.#putTimes,
      stopping: this.#stopping.signal,
      giveUp: this.#giveUp.signal,
      onEngine: (engine) => {
        this.#failure = undefined;
        this.#attempt.resolve(engine);
      },
      onEnding: () => {
        this.#attempt = newAttempt();
      },
      onEnd: (status) => {
        this.#earlier = status && continueCounts(status, this.#earlier);
      },
    });
    this.#turn = turn;
    try {
      return await turn.run();
    } finally {
      if (!this.isStopping) this.#turn = undefined;
    }
  }
}
