// Many databases in one process, each with an engine of its own. They come and go, stop and start again while the
// process runs.
import { isDeepStrictEqual } from "node:util";
import { HeadwaterError } from "../../core/base/errors.ts";
import { StoreMemory } from "../store/store-memory.ts";
import { FleetDatabase } from "./fleet-database.ts";
import type { FleetFailure } from "./fleet-database.ts";
import type { FleetMember, FleetRunEnvironment } from "./fleet-environment.ts";
import { Hibernation, hibernateAfterDefaultMs } from "./hibernation.ts";
import type { HibernationOptions } from "./hibernation.ts";
import { isGone } from "./pause.ts";
import type { ShutdownLimit } from "./shutdown.ts";
import type { Waiting } from "./waiting.ts";

export interface FleetEnvironment
  extends
    Omit<FleetRunEnvironment, "hibernation" | "storeMemory">,
    Pick<HibernationOptions, "maxAwake" | "sweepMs"> {
  /** After so much quiet a database is put to rest, ms; 0 = never. Default 30 s. */
  readonly hibernateAfterMs?: number | undefined;
}

/** The databases of this process by their paths. Whoever makes it stops it. */
export class Fleet {
  readonly #environment: FleetRunEnvironment;
  readonly #databases = new Map<string, FleetDatabase>();
  /** By the identity of each replica. */
  readonly #writers = new Map<string, FleetDatabase>();
  #isStopping = false;

  constructor({ hibernateAfterMs, maxAwake, sweepMs, ...environment }: FleetEnvironment) {
    const hibernation = new Hibernation({
      ...environment,
      hibernateAfterMs: hibernateAfterMs ?? hibernateAfterDefaultMs,
      maxAwake,
      sweepMs,
    });
    this.#environment = { ...environment, hibernation, storeMemory: new StoreMemory() };
  }

  /** All of them, in the order they came. */
  get databases(): readonly FleetDatabase[] {
    return [...this.#databases.values()];
  }

  get(path: string): FleetDatabase | undefined {
    return this.#databases.get(path);
  }

  /** The database that is replicated to where `member` would be. */
  rivalOf(member: FleetMember): FleetDatabase | undefined {
    return identitiesOf(member)
      .map((identity) => this.#writers.get(identity))
      .find((writer) => writer !== undefined);
  }

  /**
   * Takes a database in and starts it. Throws `engine/fleet` if it is there already, if another one is replicated to the
   * same place, or if all are being stopped.
   */
  add(member: FleetMember): FleetDatabase {
    const { path } = member.options;
    if (this.#isStopping) {
      throw new HeadwaterError(
        "engine/fleet",
        `${path} was not added: Headwater is being stopped.`,
      );
    }
    if (this.#databases.has(path)) {
      throw new HeadwaterError("engine/fleet", `${path} is replicated already.`);
    }
    const rival = this.rivalOf(member);
    if (rival !== undefined) {
      throw new HeadwaterError(
        "engine/fleet",
        `${path} was not added: its replica is that of ${rival.path}. Each database needs its own.`,
      );
    }
    const database = new FleetDatabase(member, this.#environment);
    this.#databases.set(path, database);
    for (const identity of identitiesOf(member)) this.#writers.set(identity, database);
    database.start();
    return database;
  }

  /** Stops a database after a last sync and forgets it. Returns why it was not replicated to its end, if so. */
  async remove(path: string, limit: ShutdownLimit): Promise<FleetFailure | undefined> {
    const database = this.#databases.get(path);
    const failure = await database?.stop(limit);
    if (database !== undefined && this.#databases.get(path) === database) {
      this.#databases.delete(path);
      for (const identity of identitiesOf(database.member)) this.#writers.delete(identity);
    }
    return failure;
  }

  /** Resolves when each database that is there replicates, rests, or has failed to. Throws nothing, also if it is aborted. */
  async settled(waiting: Waiting): Promise<void> {
    const coming = this.databases.filter(({ path, isStopped }) => !isStopped && !isGone(path));
    await Promise.allSettled(coming.map((database) => database.started(waiting)));
  }

  /** Stops all of them at once, each after a last sync. Returns those that were not replicated to their end. */
  async stop(limit: ShutdownLimit): Promise<readonly FleetFailure[]> {
    this.#isStopping = true;
    const ends = await Promise.all(this.databases.map((database) => database.stop(limit)));
    await this.#environment.hibernation[Symbol.asyncDispose]();
    return ends.filter((failure) => failure !== undefined);
  }
}

/** Two members that would write the same replicas, and no others. */
export function hasSameReplicas(one: FleetMember, other: FleetMember): boolean {
  return isDeepStrictEqual(identitiesOf(one).toSorted(), identitiesOf(other).toSorted());
}

function identitiesOf({ replicaIdentities, options }: FleetMember): readonly string[] {
  return replicaIdentities ?? options.replicas.map(({ url }) => url);
}
