// `lock.json` in a replica: the lease of Litestream's library. No command of Litestream writes or honours it, and it compares
// the clocks of two machines, so Headwater neither takes it nor obeys it. Whoever holds it is named in a warning.
import type { Clock } from "../../core/base/clock.ts";
import { collectBytes } from "../../core/base/bytes.ts";
import type { Logger } from "../../core/base/log.ts";
import { isRecord } from "../../core/base/record.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { Waiting } from "./waiting.ts";

const lockKey = "lock.json";
const maxLockBytes = 4096;

/** Says so if a program that uses Litestream's library claims the replica. */
export async function warnOfLitestreamLock(
  { store, clock, logger }: { store: ObjectStore; clock: Clock; logger: Logger },
  { signal }: Waiting,
): Promise<void> {
  const lock = await readLock(store, { signal }).catch(() => undefined);
  signal.throwIfAborted();
  const expiresAt = lock?.["expires_at"];
  const expiresAtMs = typeof expiresAt === "string" ? Date.parse(expiresAt) : Number.NaN;
  // Not a number is in no future.
  if (!(expiresAtMs > clock.nowMs())) return;
  logger.log("warn", "litestream.lock", {
    owner: lock?.["owner"],
    expiresAt,
    hint: `${lockKey} in ${store.url} says that another program writes this replica`,
  });
}

async function readLock(
  store: ObjectStore,
  { signal }: Waiting,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const content = await store.get(lockKey, { length: maxLockBytes, signal });
  if (content === undefined) return undefined;
  const value: unknown = JSON.parse(new TextDecoder().decode(await collectBytes(content.body)));
  return isRecord(value) ? value : undefined;
}
