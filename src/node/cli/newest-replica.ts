// Of several replicas the one to restore from: the one that is furthest.
import { must } from "../../core/base/assert.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import type { ReplicaOptions, ResolvedOptions } from "../engine/engine-options.ts";
import { openReplicaStore } from "../restore/environment.ts";
import { urlWithoutSecrets } from "../store/open-store.ts";

export interface NewestReplicaOptions {
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The replica with the highest TXID; the first one where there is nothing to choose. A replica that does not answer
 * might be the newest, so nothing is chosen without it.
 */
export async function newestReplica(
  { path, replicas }: Pick<ResolvedOptions, "path" | "replicas">,
  options: NewestReplicaOptions,
): Promise<ReplicaOptions> {
  const first = must(replicas[0], "a replica");
  if (replicas.length === 1) return first;
  const heads = await Promise.all(replicas.map((replica) => headOf(replica, path, options)));
  const newest = heads.reduce((most, head) => (head.txid > most.txid ? head : most));
  return newest.replica;
}

async function headOf(
  replica: ReplicaOptions,
  path: string,
  { logger, signal }: NewestReplicaOptions,
): Promise<{ readonly replica: ReplicaOptions; readonly txid: bigint }> {
  const { url, secrets } = replica;
  try {
    await using store = await openReplicaStore(url, { secrets, logger, signal });
    const files = await listReplica(store, layoutForUrl(url), { signal });
    return {
      replica,
      txid: files.reduce((most, { maxTxid }) => (maxTxid > most ? maxTxid : most), 0n),
    };
  } catch (error) {
    signal?.throwIfAborted();
    const named = urlWithoutSecrets(url);
    throw new HeadwaterError(
      "restore/replicas",
      `${path} was not restored: of its replicas ${named} cannot be listed, and it may be the newest. ` +
        `${messageOf(error)} To do without it: headwater restore -o ${path} with the URL of another replica.`,
      { data: { path, url: named }, cause: error },
    );
  }
}
