// Fleets for tests: databases go to rest as soon as they may, events are kept, requests to stores are counted.
import { fileURLToPath } from "node:url";
import type { LogFields } from "../../src/core/base/log.ts";
import type { FileSystem } from "../../src/core/base/file-system.ts";
import { createFaultyStore } from "../../src/core/testing/faulty-store.ts";
import { systemClock, systemRandom } from "../../src/node/base/clock.ts";
import { resolveOptions } from "../../src/node/engine/engine-options.ts";
import type { ReplicateOptions } from "../../src/node/engine/engine-options.ts";
import { Fleet } from "../../src/node/engine/fleet.ts";
import type { FleetDatabase } from "../../src/node/engine/fleet-database.ts";
import type { FleetMember } from "../../src/node/engine/fleet-environment.ts";
import { startShutdownLimit } from "../../src/node/engine/shutdown.ts";
import type { ShutdownLimit } from "../../src/node/engine/shutdown.ts";
import { startModule } from "./children.ts";
import type { Child } from "./children.ts";
import { until } from "./until.ts";

export const never = new AbortController().signal;

export function stopLimit(): ShutdownLimit {
  return startShutdownLimit(60_000, never);
}

export interface QuickFleetOptions {
  readonly hibernateAfterMs?: number;
  readonly maxAwake?: number;
  readonly fileSystem?: FileSystem | undefined;
}

/** A fleet in which 300 ms of quiet are enough. Disposing it stops it. */
export class QuickFleet implements AsyncDisposable {
  readonly fleet: Fleet;
  readonly events: { readonly event: string; readonly fields: LogFields }[] = [];
  /** What stores were asked so far. */
  readonly calls: string[] = [];

  constructor({ hibernateAfterMs = 300, maxAwake, fileSystem }: QuickFleetOptions = {}) {
    this.fleet = new Fleet({
      logger: { log: (_, event, fields = {}) => void this.events.push({ event, fields }) },
      clock: systemClock,
      random: systemRandom,
      hibernateAfterMs,
      maxAwake,
      sweepMs: 100,
      parts: {
        fileSystem,
        wrapStore: (store) =>
          createFaultyStore(store, {
            clock: systemClock,
            plan: ({ operation, key }) => {
              if (operation !== "features") this.calls.push(`${operation} ${key}`);
              return undefined;
            },
          }),
      },
    });
  }

  /** Calls to stores so far. */
  get requests(): number {
    return this.calls.length;
  }

  /** Without levels, unless asked for: nothing but a change is a reason to wake. */
  add(options: ReplicateOptions): FleetDatabase {
    return this.fleet.add(memberOf({ levels: [], retentionEnabled: false, ...options }));
  }

  count(event: string): number {
    return this.events.filter((one) => one.event === event).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures = await this.fleet.stop(stopLimit());
    if (failures.length > 0) throw failures[0]?.error;
  }
}

export function memberOf(options: ReplicateOptions, prepare = async () => {}): FleetMember {
  return { options: resolveOptions(options), prepare };
}

export function isAtRest(database: FleetDatabase): boolean {
  return database.status?.state === "hibernated";
}

/** Waits until the database is at rest. */
export async function atRest(database: FleetDatabase): Promise<void> {
  await until(() => isAtRest(database));
}

/** Starts a fleet of one database as a child process that dies right before a call to the file system (fleet-child.ts). */
export function startFleetChild(
  options: ReplicateOptions & { readonly killBefore: string },
): Child {
  return startModule(fileURLToPath(new URL("fleet-child.ts", import.meta.url)), options);
}
