// `headwater lease`: who writes a replica and since when; removes the lease of a writer that is dead.
import { Command } from "commander";
import type { Waiting } from "../../core/base/async.ts";
import { toHex64 } from "../../core/base/bytes.ts";
import { listLevel } from "../../core/replica/catalog.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { leaseKey, readLease } from "../../core/replica/lease-object.ts";
import type { FoundLease } from "../../core/replica/lease-object.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { systemClock } from "../base/clock.ts";
import { systemEnvironment } from "../restore/environment.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { createMessageLogger } from "./messages.ts";
import { formatDuration, formatJson, formatTable, formatTime } from "./output.ts";
import { abortOnSignals } from "./signals.ts";
import { replicaKind, resolveSource } from "./sources.ts";

interface LeaseFlags extends ConfigFlags {
  readonly break?: boolean;
  readonly json?: boolean;
}

/** Prints the lease of a replica; with `-break` removes it. */
export function leaseCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("lease")
      .description(
        "Show who writes a replica, since when, and when it was last seen at work. With -break the lease is removed.",
      )
      .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
      .option("--break", "remove the lease of a writer that is dead, so that another need not wait")
      .option("--json", "print JSON"),
  ).action(async (sourceText: string, flags: LeaseFlags) => {
    using interruption = abortOnSignals();
    const { signal } = interruption;
    const { url, secrets } = await resolveSource(sourceText, flags, context);
    const logger = createMessageLogger(context, systemClock);
    await using store = await systemEnvironment(logger).openReplica(url, { signal, secrets });
    const found = await readLease(store, { signal });
    const shown = { url, found, seenAtMs: await lastSeen(store, url, found, { signal }) };
    const isBroken = flags.break === true && found !== undefined;
    if (isBroken) await store.delete([leaseKey], { signal });
    const print = flags.json === true ? toJson : describe;
    context.print(print({ ...shown, isBroken }));
  });
}

interface Shown {
  readonly url: string;
  readonly found: FoundLease | undefined;
  /** Wall clock of the writer, or of the store. */
  readonly seenAtMs: number | undefined;
  readonly isBroken: boolean;
}

/** The newest sign of life: of the lease itself, or a file of level 0. */
async function lastSeen(
  store: ObjectStore,
  url: string,
  found: FoundLease | undefined,
  waiting: Waiting,
): Promise<number | undefined> {
  if (found === undefined) return undefined;
  const newest = (await listLevel(store, layoutForUrl(url), 0, waiting)).at(-1);
  const times = [found.record?.renewedAtMs, newest?.timestampMs].filter((ms) => ms !== undefined);
  return times.length === 0 ? undefined : Math.max(...times);
}

function toJson({ url, found, seenAtMs, isBroken }: Shown): string {
  const record = found?.record;
  return formatJson({
    replica: replicaKind(url),
    held: found !== undefined && !isBroken,
    broken: isBroken,
    owner: record?.owner,
    node_id: record && toHex64(record.nodeId),
    acquired_at: record && formatTime(record.acquiredAtMs),
    renewed_at: record && formatTime(record.renewedAtMs),
    last_seen_at: seenAtMs === undefined ? undefined : formatTime(seenAtMs),
    expires_at:
      record === undefined || seenAtMs === undefined
        ? undefined
        : formatTime(seenAtMs + record.ttlMs),
    ttl_seconds: record && record.ttlMs / 1000,
  });
}

function describe({ url, found, seenAtMs, isBroken }: Shown): string {
  if (found === undefined) return `Nobody holds the lease of ${url}.\n`;
  const { record } = found;
  const rows =
    record === undefined
      ? [["holder", `unknown: ${leaseKey} cannot be read by this version`]]
      : [
          ["holder", record.owner],
          ["node id", toHex64(record.nodeId)],
          ["since", formatTime(record.acquiredAtMs)],
          ["last seen", formatTime(seenAtMs ?? record.renewedAtMs)],
          ["may pass on", `after ${formatDuration(record.ttlMs)} in which it puts nothing`],
        ];
  return formatTable(rows) + (isBroken ? brokenText : "");
}

const brokenText =
  "The lease is removed: the next writer starts without waiting. If the holder above still runs, it takes the lease " +
  "again at its next upload, or stops there if another was faster.\n";
