// A command's SOURCE, opened as a replica at the moment that its flags name, or at what its primary pushes.
import type { Command } from "commander";
import type { Waiting } from "../../core/base/async.ts";
import { parseMoment } from "../../core/base/moments.ts";
import { systemClock } from "../base/clock.ts";
import { type OpenReplicaOptions, openReplica } from "../vfs/open-replica.ts";
import type { ReplicaDatabase } from "../../core/vfs/replica-database.ts";
import type { CliContext } from "./command.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { createMessageLogger } from "./messages.ts";
import { resolveSource } from "./sources.ts";
import { parseTxidFlag, usage } from "./values.ts";

export interface MomentFlags {
  readonly at?: string;
  readonly timestamp?: string;
  readonly txid?: string;
}

export interface PushFlags {
  readonly push?: string;
}

/** Adds `-push`, whose token is `pushTokenOf`. */
export function addPushFlag(command: Command, summary: string): Command {
  return command.option(
    "--push <url>",
    `${summary}: http://host:port/databases/NAME; its token, if it asks for one, from HEADWATER_PUSH_TOKEN`,
  );
}

/** What a primary may ask of who follows it. */
export function pushTokenOf({ environment }: CliContext): string | undefined {
  return environment["HEADWATER_PUSH_TOKEN"];
}

/** Adds `-at`, `-timestamp` and `-txid`. */
export function addMomentFlags(command: Command): Command {
  return command
    .option(
      "--at <time>",
      'the newest state strictly before it: RFC 3339, "5 minutes ago", "yesterday 14:30"',
    )
    .option("--timestamp <time>", "the same as --at")
    .option("--txid <hex>", "exactly this TXID, 16 hexadecimal digits");
}

/**
 * Opens it, with `push` at what the primary has committed by now; if that is away, a warning says so, and it is at what the store
 * has. Throws `usage/invalid` for flags that exclude each other.
 */
export async function openSource(
  context: CliContext,
  sourceText: string,
  flags: ConfigFlags & MomentFlags & PushFlags & { readonly hydrate?: string },
  { signal }: Waiting,
): Promise<ReplicaDatabase> {
  const { at, timestamp, txid, push, hydrate } = flags;
  const moments = [at, timestamp, txid].filter((flag) => flag !== undefined);
  if (moments.length > 1) {
    throw usage("Give one of -at (or -timestamp, which is the same) and -txid.");
  }
  if (moments.length > 0 && push !== undefined) {
    throw usage("-push shows the newest state: leave it out, or -at, -timestamp and -txid.");
  }
  const nowMs = systemClock.nowMs();
  const { url, secrets } = await resolveSource(sourceText, flags, context);
  const options: OpenReplicaOptions = {
    signal,
    secrets,
    hydrate,
    logger: createMessageLogger(context, systemClock),
    ...(push !== undefined && { follow: true, push, pushToken: pushTokenOf(context) }),
    ...(at !== undefined && { at: parseMoment(at, nowMs, "-at") }),
    ...(timestamp !== undefined && { at: parseMoment(timestamp, nowMs, "-timestamp") }),
    ...(txid !== undefined && { txid: parseTxidFlag(txid) }),
  };
  await using opened = new AsyncDisposableStack();
  const db = opened.use(await openReplica(url, options));
  if (push !== undefined) await db.refresh({ signal });
  opened.move();
  return db;
}
