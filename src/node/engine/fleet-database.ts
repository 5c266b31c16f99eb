// One database of a fleet: can be stopped and started again while the others go on.
import { HeadwaterError } from "../../core/base/errors.ts";
import { FleetRun } from "./fleet-run.ts";
import { StagedFeed } from "./staged-feed.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { EngineStatus } from "./engine-status.ts";
import type { FleetMember, FleetRunEnvironment } from "./fleet-environment.ts";
import type { RunningEngine } from "./running-engine.ts";
import type { ShutdownLimit } from "./shutdown.ts";
import type { Waiting } from "./waiting.ts";

/** A database that could not be replicated, and why. */
export interface FleetFailure {
  readonly path: string;
  readonly error: unknown;
}

export class FleetDatabase {
  readonly member: FleetMember;
  /** For those who follow it by push. */
  readonly feed: StagedFeed;
  readonly #environment: FleetRunEnvironment;
  #run: FleetRun | undefined;

  constructor(member: FleetMember, environment: FleetRunEnvironment) {
    this.member = member;
    this.feed = new StagedFeed({
      clock: environment.clock,
      restingTxid: () => (this.status?.state === "hibernated" ? this.status.txid : undefined),
    });
    this.#environment = { ...environment, feed: this.feed };
  }

  get path(): string {
    return this.member.options.path;
  }

  /** True from the moment it is told to stop until it is started again. */
  get isStopped(): boolean {
    return this.#run === undefined || this.#run.isStopping;
  }

  /** The engine at work; `undefined` while there is none, because it starts, failed, rests or is stopped. */
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

  /** What its engine says, or that it rests (`hibernated`); `undefined` while it starts, has failed or is stopped. */
  get status(): EngineStatus | undefined {
    return this.#run?.status;
  }

  /** Resolves as soon as it is replicated, or rests. Rejects with what has kept it from that, or if it is stopped. */
  started(waiting: Waiting): Promise<void> {
    return this.#started.started(waiting);
  }

  /**
   * Resolves when everything committed before the call is in the replica. One at rest is woken only if there is anything.
   * Rejects as `started` does.
   */
  sync(waiting: Waiting): Promise<Txid> {
    return this.#started.sync(waiting);
  }

  /** As `sync`, but resolves when it is staged on local disk. */
  stage(waiting: Waiting): Promise<Txid> {
    return this.#started.stage(waiting);
  }

  get #started(): FleetRun {
    if (this.#run !== undefined) return this.#run;
    throw new HeadwaterError("engine/stopped", `${this.path} is stopped. Start it first.`);
  }

  /** Stops after a last sync. Returns why it was not replicated to its end, if so; nothing if it was stopped already. */
  async stop(limit: ShutdownLimit): Promise<FleetFailure | undefined> {
    const run = this.#run;
    await run?.stop(limit);
    this.feed.end();
    if (this.#run === run) this.#run = undefined;
    return run?.failure === undefined ? undefined : { path: this.path, error: run.failure };
  }
}
