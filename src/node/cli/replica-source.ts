// A command's SOURCE, opened as a replica at the moment that its flags name.
import type { Command } from "commander";
import type { Waiting } from "../../core/base/async.ts";
import { parseMoment } from "../../core/base/moments.ts";
import { systemClock } from "../base/clock.ts";
import { openReplica } from "../vfs/open-replica.ts";
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

/** Opens it. Throws `usage/invalid` for flags that exclude each other. */
export async function openSource(
  context: CliContext,
  sourceText: string,
  flags: ConfigFlags & MomentFlags & { readonly hydrate?: string },
  { signal }: Waiting,
): Promise<ReplicaDatabase> {
  const { at, timestamp, txid, hydrate } = flags;
  if ([at, timestamp, txid].filter((flag) => flag !== undefined).length > 1) {
    throw usage("Give one of -at (or -timestamp, which is the same) and -txid.");
  }
  const nowMs = systemClock.nowMs();
  const { url, secrets } = await resolveSource(sourceText, flags, context);
  return openReplica(url, {
    signal,
    secrets,
    hydrate,
    logger: createMessageLogger(context, systemClock),
    ...(at !== undefined && { at: parseMoment(at, nowMs, "-at") }),
    ...(timestamp !== undefined && { at: parseMoment(timestamp, nowMs, "-timestamp") }),
    ...(txid !== undefined && { txid: parseTxidFlag(txid) }),
  });
}
