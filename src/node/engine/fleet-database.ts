// One database of a fleet: can be stopped and started again while the others go on.
import { HeadwaterError } from "../../core/base/errors.ts";
import { FleetRun } from "./fleet-run.ts";
import type { FleetEnvironment, FleetMember } from "./fleet-run.ts";
import type { RunningEngine } from "./running-engine.ts";
import type { ShutdownLimit } from "./shutdown.ts";

/** A database that could not be replicated, and why. */
export interface FleetFailure {
  readonly path: string;
  readonly error: unknown;
}

export class FleetDatabase {
  readonly member: FleetMember;
  readonly #environment: FleetEnvironment;
  #run: FleetRun | undefined;

  constructor(member: FleetMember, environment: FleetEnvironment) {
    this.member = member;
    this.#environment = environment;
  }

  get path(): string {
    return this.member.options.path;
  }

  /** True from the moment it is told to stop until it is started again. */
  get isStopped(): boolean {
    return this.#run === undefined || this.#run.isStopping;
  }

  /** The engine at work; `undefined` while there is none, because it starts, failed or is stopped. */
  get engine(): RunningEngine | undefined {
    return this.#run?.engine;
  }

  /** Why it is not replicated, as far as it is known. */
  get failure(): unknown {
    return this.#run?.failure;
  }

  /** True after a failure that is not tried again until somebody starts it. */
  get hasGivenUp(): boolean {
    return this.#run?.hasGivenUp === true;
  }

  /** Starts replicating it. False if that has been done already. Throws `engine/stopped` while it is being stopped. */
  start(): boolean {
    if (this.#run?.isStopping === true) {
      throw new HeadwaterError(
        "engine/stopped",
        `${this.path} is being stopped. Start it again in a moment.`,
      );
    }
    if (this.#run !== undefined && !this.#run.hasGivenUp) return false;
    this.#run = new FleetRun(this.member, this.#environment);
    return true;
  }

  /** The engine, as soon as it replicates. Rejects with what has kept it from that, or if it is stopped. */
  started(waiting: { readonly signal: AbortSignal }): Promise<RunningEngine> {
    if (this.#run === undefined) {
      throw new HeadwaterError("engine/stopped", `${this.path} is stopped. Start it first.`);
    }
    return this.#run.started(waiting);
  }

  /** Stops after a last sync. Returns why it was not replicated to its end, if so; nothing if it was stopped already. */
  async stop(limit: ShutdownLimit): Promise<FleetFailure | undefined> {
    const run = this.#run;
    await run?.stop(limit);
    if (this.#run === run) this.#run = undefined;
    return run?.failure === undefined ? undefined : { path: this.path, error: run.failure };
  }
}
