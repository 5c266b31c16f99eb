// One turn of a database of a fleet at being awake: it waits for its place, an engine starts, and replicates until nothing
// is left to do or it fails.
import { messageOf } from "../../core/base/errors.ts";
import type { EngineStatus } from "./engine-status.ts";
import type { FleetMember, FleetRunEnvironment } from "./fleet-environment.ts";
import type { Awake } from "./hibernation.ts";
import type { EndedRest } from "./parts.ts";
import { isGone } from "./pause.ts";
import type { Pause } from "./pause.ts";
import { keepPutTimes, newPutTimes } from "./put-times.ts";
import type { PutTimes } from "./put-times.ts";
import { startEngine } from "./running-engine.ts";
import type { RunningEngine } from "./running-engine.ts";

export interface FleetTurnOptions {
  readonly member: FleetMember;
  readonly environment: FleetRunEnvironment;
  /** See `RestRecord`. */
  readonly purpose: string;
  /** The rest that it ends. */
  readonly ended: EndedRest | undefined;
  /** What is known from before, in this process. */
  readonly putTimes: PutTimes;
  /** No more pauses, and no more waiting for a place. */
  readonly stopping: AbortSignal;
  /** Gives up a start that is under way. */
  readonly giveUp: AbortSignal;
  readonly onEngine: (engine: RunningEngine) => void;
  /** The engine replicates no more, because nothing is left to do or because it has failed. */
  readonly onEnding: () => void;
  readonly onEnd: (last: EngineStatus | undefined) => void;
}

export class FleetTurn implements Awake {
  readonly #options: FleetTurnOptions;
  /** Gives up a start because there is no database. */
  readonly #absent = new AbortController();
  #starting: Promise<RunningEngine> | undefined;
  #engine: RunningEngine | undefined;
  #pausing: Promise<Pause | undefined> | undefined;

  constructor(options: FleetTurnOptions) {
    this.#options = options;
  }

  /** `undefined` while it waits for its place. */
  get starting(): Promise<RunningEngine> | undefined {
    return this.#starting;
  }

  /** The engine at work. */
  get engine(): RunningEngine | undefined {
    return this.#engine;
  }

  /** Ends the engine if it is not needed; `undefined` while nobody tries. */
  get pausing(): Promise<Pause | undefined> | undefined {
    return this.#pausing;
  }

  /** Runs an engine to its end. Returns why it is not needed, `undefined` after our stop; throws for any other end. */
  async run(): Promise<Pause | undefined> {
    const { member, environment, ended, stopping, giveUp } = this.#options;
    const { hibernation } = environment;
    await using held = new AsyncDisposableStack();
    const isUrgent = isUrgentAfter(ended);
    held.use(await hibernation.takePlace({ signal: stopping, isUrgent }));
    held.use(hibernation.addAwake(this));
    const signal = AbortSignal.any([giveUp, this.#absent.signal]);
    try {
      this.#starting = startMember(member, environment, { ended, signal });
      await this.#replicate(await this.#starting);
      return await this.#pausing;
    } catch (error) {
      if (!this.#absent.signal.aborted || giveUp.aborted) throw error;
      return { record: undefined, putTimes: newPutTimes(environment.clock) };
    } finally {
      this.#options.onEnd(this.#engine?.status());
      this.#engine = undefined;
      this.#pausing = undefined;
    }
  }

  async #replicate(engine: RunningEngine): Promise<void> {
    this.#engine = engine;
    this.#options.onEngine(engine);
    try {
      await engine.ended();
    } catch (error) {
      // Its loops have ended: this only lets go of the database.
      await engine.stop({ signal: this.#options.giveUp });
      this.#options.onEnding();
      throw error;
    }
  }

  /** Ends the engine if nothing has happened for `quietMs`, or if there is no database any more. */
  async rest(quietMs: number): Promise<void> {
    const { member, environment, stopping } = this.#options;
    const engine = this.#engine;
    // A start that waits for a database keeps a place that others need.
    if (engine === undefined && isGone(member.options.path)) this.#absent.abort();
    if (engine === undefined || stopping.aborted || this.#pausing !== undefined) return;
    this.#pausing = this.#pause(engine, quietMs);
    try {
      if ((await this.#pausing) === undefined) this.#pausing = undefined;
    } catch (error) {
      environment.logger.log("warn", "database.restless", { error: messageOf(error) });
      if (!engine.isStopping) this.#pausing = undefined;
    }
  }

  async #pause(engine: RunningEngine, quietMs: number): Promise<Pause | undefined> {
    const { member, purpose, giveUp, onEnding } = this.#options;
    const record = await engine.hibernate({ quietMs, purpose, signal: giveUp });
    const hasGone = record === undefined && isGone(member.options.path);
    if (record === undefined && !(hasGone && (await engine.endIfGone()))) return undefined;
    onEnding();
    return { record, putTimes: this.#putTimesAfter(engine) };
  }

  #putTimesAfter({ latePuts }: RunningEngine): PutTimes {
    const { member, environment, putTimes } = this.#options;
    const { retentionGraceMs: graceMs } = member.options;
    return keepPutTimes(putTimes, latePuts, { clock: environment.clock, graceMs });
  }
}

/** What changed goes before what is only to be looked after. */
function isUrgentAfter(ended: EndedRest | undefined): boolean {
  return ended?.isUndisturbed === false;
}

/** Starts an engine when it has its turn. */
export function startMember(
  { options }: FleetMember,
  { hibernation, logger, parts, storeMemory, feed, isPushed }: FleetRunEnvironment,
  { ended, signal }: { readonly ended: EndedRest | undefined; readonly signal: AbortSignal },
): Promise<RunningEngine> {
  const mayRest = hibernation.isOn;
  const common = { ...parts, logger, storeMemory, feed, isPushed };
  const environment = { ...common, endedRest: ended, mayRest };
  return hibernation.start(() => startEngine(options, environment, { signal }), {
    signal,
    isUrgent: isUrgentAfter(ended),
  });
}
