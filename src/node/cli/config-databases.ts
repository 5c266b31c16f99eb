// Every database that a configuration file stands for, those of its directories included: the ones that lie there, and the
// ones that only the replica still knows.
import { join } from "node:path";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { listReplicaPaths } from "../../core/replica/replica-paths.ts";
import type { Config } from "../engine/config/config.ts";
import type { DatabaseConfig, DirectoryConfig } from "../engine/config/database-config.ts";
import type { Environment } from "../restore/environment.ts";
import { usage } from "./values.ts";

/**
 * All of them, by path. Throws `usage/invalid` if two directories of the file could both have had the database of one
 * replica, which is then not to be guessed.
 */
export async function allDatabases(
  config: Config,
  environment: Environment,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly DatabaseConfig[]> {
  const databaseByPath = new Map<string, DatabaseConfig>();
  for (const database of config.databases) databaseByPath.set(database.options.path, database);
  for (const directory of config.directories) {
    for (const database of await replicatedIn(directory, environment, { signal })) {
      databaseByPath.set(database.options.path, database);
    }
  }
  const pathByReplica = new Map<string, string>();
  for (const [path, { replicaIdentities }] of databaseByPath) {
    for (const identity of replicaIdentities) {
      const other = pathByReplica.get(identity);
      if (other !== undefined) {
        throw usage(
          `${config.path}: one replica may be that of ${other} or of ${path}. Restore it by itself, with its URL and -o.`,
        );
      }
      pathByReplica.set(identity, path);
    }
  }
  return [...databaseByPath.values()].toSorted((a, b) =>
    a.options.path < b.options.path ? -1 : 1,
  );
}

async function replicatedIn(
  { directory, replica, secrets, databaseAt }: DirectoryConfig,
  environment: Environment,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly DatabaseConfig[]> {
  await using store = await environment.openReplica(replica, { signal, secrets });
  const paths = await listReplicaPaths(store, layoutForUrl(replica), { signal });
  return paths.flatMap((path) => databaseAt(join(directory, path)) ?? []);
}
