// What restore and verify need from the world, in one place, so that a test can put a faulty part in.
import type { Clock } from "../../core/base/clock.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import { type Logger, silentLogger } from "../../core/base/log.ts";
import type { Random } from "../../core/base/random.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openStore } from "../store/open-store.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";

export interface OpenReplicaOptions extends Waiting {
  readonly secrets?: StoreSecrets | undefined;
}

export interface Environment {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly fileSystem: FileSystem;
  openReplica(url: string, options: OpenReplicaOptions): Promise<ObjectStore>;
}

/** A replica that does not answer is tried this often before a read gives up; progress starts the count anew. */
const attempts = 6;

/** The machine's own. */
export function systemEnvironment(logger: Logger = silentLogger): Environment {
  const parts = { clock: systemClock, random: systemRandom, logger, fileSystem: nodeFileSystem };
  return {
    ...parts,
    openReplica: async (url, { signal, secrets }) => {
      const { createRetryingStore } = await import("../../core/store/retrying-store.ts");
      const store = await openStore(url, { ...parts, environment: process.env, secrets, signal });
      return createRetryingStore(store, {
        ...parts,
        attempts,
        backoff: { firstMs: 250, maxMs: 10_000 },
      });
    },
  };
}

export interface OpenReplicaStoreOptions extends OpenReplicaOptions {
  readonly logger?: Logger | undefined;
}

/**
 * The store of a replica by its URL, `file://` or `s3://`, for the functions of `headwater/replica`. Makes no request;
 * what does not answer is tried again. Throws `store/url`. Dispose it.
 */
export function openReplicaStore(
  url: string,
  { logger, ...options }: OpenReplicaStoreOptions = {},
): Promise<ObjectStore> {
  return systemEnvironment(logger).openReplica(url, options);
}
