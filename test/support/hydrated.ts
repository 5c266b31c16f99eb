// Replicas with a local copy, in the process of the test.
import type { LogFields } from "../../src/core/base/log.ts";
import type { SqlParameters, SqlRow } from "../../src/core/vfs/sql-values.ts";
import type { ReplicaDatabase } from "../../src/core/vfs/replica-database.ts";
import { type Environment, systemEnvironment } from "../../src/node/restore/environment.ts";
import { type OpenReplicaOptions, openReplicaIn } from "../../src/node/vfs/open-replica.ts";
import { until } from "./until.ts";

export interface HydratedReplica extends AsyncDisposable {
  readonly db: ReplicaDatabase;
  readonly log: { readonly event: string; readonly fields: LogFields }[];
  all(sql: string, parameters?: SqlParameters): Promise<SqlRow[]>;
  /** Whether the next read runs on the copy. */
  isNative(): Promise<boolean>;
  /** Resolves when it does. */
  hydrated(): Promise<void>;
}

export async function openHydrated(
  url: string,
  options: OpenReplicaOptions,
  surroundings: Partial<Environment> = {},
): Promise<HydratedReplica> {
  const log: { event: string; fields: LogFields }[] = [];
  const environment: Environment = {
    ...systemEnvironment({ log: (_, event, fields = {}) => void log.push({ event, fields }) }),
    ...surroundings,
  };
  const db = await openReplicaIn(environment, url, options);
  const all = (sql: string, parameters?: SqlParameters): Promise<SqlRow[]> =>
    Array.fromAsync(db.query(sql, parameters));
  const isNative = async (): Promise<boolean> => {
    const [row] = await all("SELECT sqlite_version() AS version");
    return row?.["version"] === process.versions["sqlite"];
  };
  return {
    db,
    log,
    all,
    isNative,
    hydrated: () => until(isNative),
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  };
}
