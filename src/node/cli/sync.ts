// `headwater sync`: what is committed now is captured, or with -wait is in the replica, when the command ends.
import { Command } from "commander";
import { systemClock } from "../base/clock.ts";
import { localPath } from "../base/local-path.ts";
import type { CliContext } from "./command.ts";
import { addControlFlags, openControlClient, printAnswer } from "./control-client.ts";
import type { ControlFlags } from "./control-client.ts";

interface SyncFlags extends ControlFlags {
  readonly wait?: boolean;
}

/** Prints how far the database is. */
export function syncCommand(context: CliContext): Command {
  return addControlFlags(
    new Command("sync")
      .description("Capture what is committed to a database now, without waiting for its interval.")
      .argument("<database>", "path of the database")
      .option("--wait", "wait until it is in the replica"),
    30,
  ).action(async (database: string, flags: SyncFlags) => {
    const { timeoutSeconds, ask } = await openControlClient(flags, context);
    const wait = flags.wait === true;
    const body = { path: localPath(database), wait, timeout: timeoutSeconds };
    const startedMs = systemClock.monotonicMs();
    const answer = await ask({ method: "POST", path: "/sync", body });
    printAnswer(context, flags, {
      status: answer["status"],
      db_path: answer["path"],
      txid: answer["txid"],
      ...(wait && { replica_txid: answer["replicated_txid"] }),
      duration_ms: Math.round(systemClock.monotonicMs() - startedMs),
    });
  });
}
