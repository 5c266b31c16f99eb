// Opening replicas for queries in tests.
import type { Clock } from "../../src/core/base/clock.ts";
import type { ObjectStore } from "../../src/core/store/object-store.ts";
import type { SqlParameters, SqlRow } from "../../src/core/vfs/sql-values.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";
import { openReplicaIn } from "../../src/node/vfs/open-replica.ts";
import type { OpenReplicaOptions } from "../../src/node/vfs/open-replica.ts";
import type { ReplicaDatabase } from "../../src/core/vfs/replica-database.ts";

/** A replica in a store, called `app` in SQL. */
export function openStore(
  store: ObjectStore,
  options: OpenReplicaOptions = {},
  clock: Clock = systemEnvironment().clock,
): Promise<ReplicaDatabase> {
  const environment = { ...systemEnvironment(), clock, openReplica: async () => store };
  return openReplicaIn(environment, "file:///app", options);
}

/** All rows. */
export function all(
  db: ReplicaDatabase,
  sql: string,
  parameters: SqlParameters = [],
): Promise<SqlRow[]> {
  return Array.fromAsync(db.query(sql, parameters));
}

/** The first column of the first row. */
export async function valueOf(
  db: ReplicaDatabase,
  sql: string,
  parameters: SqlParameters = [],
): Promise<SqlRow[string] | undefined> {
  const [row] = await all(db, sql, parameters);
  return row && Object.values(row)[0];
}
