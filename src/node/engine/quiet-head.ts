// A replica that somebody else has written: it must stand still for a while before we continue it.
import { formatTxid } from "../../core/ltx/txid.ts";
import type { ReplicaParts } from "./parts.ts";
import type { ReplicaHead } from "./replica-survey.ts";
import type { Waiting } from "./waiting.ts";

/** So long. */
const quietMs = 120_000;
const quietPollMs = 10_000;

/** Waits until the head has not changed for two minutes of our own clock. A single pass throws instead. */
export async function waitForQuiet(
  parts: ReplicaParts,
  found: ReplicaHead,
  waiting: Waiting,
): Promise<void> {
  const { clock, link, logger } = parts;
  if (parts.once) throw await link.conflict(found.file.key, waiting);
  logger.log("warn", "replica.foreign-head", {
    head: formatTxid(found.txid),
    waitMs: quietMs,
    hint: "another writer may be at work; --take-over does not wait",
  });
  let seen: ReplicaHead | undefined = found;
  let sinceMs = clock.monotonicMs();
  while (clock.monotonicMs() - sinceMs < quietMs) {
    await clock.sleep(quietPollMs, waiting);
    const { head } = await link.survey(waiting);
    if (!isSameHead(head, seen)) sinceMs = clock.monotonicMs();
    seen = head;
  }
}

function isSameHead(a: ReplicaHead | undefined, b: ReplicaHead | undefined): boolean {
  return a?.txid === b?.txid && a?.file.etag === b?.file.etag && a?.file.level === b?.file.level;
}
