// Retention in one pass, for `-once`: what `headwater prune` does, with the policy of the database. With a manifest, a pass
// leaves out of it what a later one deletes.
import type { Clock } from "../../core/base/clock.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import { heldByReaders, readPublishedManifest } from "../../core/replica/manifest-readers.ts";
import { applyRetention } from "../../core/replica/prune.ts";
import { planRetention } from "../../core/replica/retention.ts";
import type { LevelSchedule } from "./parts.ts";
import type { ReplicaLink } from "./replica-link.ts";
import type { Waiting } from "./waiting.ts";

export interface RetentionPass extends Waiting {
  readonly link: ReplicaLink;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Lists the replica and deletes what goes. Throws what the store throws, and what is wrong with a file of level 1. */
export async function enforceRetention(
  { retention, retentionEnabled }: LevelSchedule,
  { link, codec, clock, logger, signal }: RetentionPass,
): Promise<void> {
  if (!retentionEnabled) {
    logger.log("warn", "retention.off", { hint: "nothing in the replica is ever deleted" });
    return;
  }
  const { upkeepStore: store, layout } = link;
  const files = await listReplica(store, layout, { signal });
  await link.lease.hold({ signal });
  const nowMs = clock.nowMs();
  link.manifest?.withdraw(planRetention(files, retention, nowMs).gone);
  const published = await readPublishedManifest(store, { signal });
  const isHeld = heldByReaders(published, { graceMs: retention.graceMs, nowMs });
  const plan = planRetention(files, retention, nowMs, isHeld);
  // First from what is known: the manifest must not name what is on its way out.
  link.known.remove(plan.gone);
  await applyRetention(plan, { store, layout, codec, signal });
  const sizeBytes = plan.gone.reduce((sum, file) => sum + file.sizeBytes, 0);
  logger.log("info", "retention.enforced", {
    deleted: plan.gone.length,
    kept: files.length - plan.gone.length,
    heldByManifest: plan.verdicts.filter(({ reason }) => reason === "in-manifest").length,
    sizeBytes,
  });
}
