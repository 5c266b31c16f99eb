// `headwater unregister`: a running Headwater forgets a database.
import { Command } from "commander";
import { localPath } from "../base/local-path.ts";
import type { CliContext } from "./command.ts";
import { addControlFlags, openControlClient, printAnswer } from "./control-client.ts";
import type { ControlFlags } from "./control-client.ts";

interface UnregisterFlags extends ControlFlags {
  readonly dryRun?: boolean;
}

/** Prints when everything committed is in the replica and the database is forgotten. */
export function unregisterCommand(context: CliContext): Command {
  return addControlFlags(
    new Command("unregister")
      .description(
        "Tell a running Headwater to forget a database, after a last sync. Its replica and local state stay.",
      )
      .argument("<database>", "path of the database")
      .option("--dry-run", "only say what would be done; nobody is asked"),
    30,
  ).action(async (database: string, flags: UnregisterFlags) => {
    const { socket, timeoutSeconds, ask } = await openControlClient(flags, context);
    const path = localPath(database);
    if (flags.dryRun === true) {
      printAnswer(context, flags, { status: "would_unregister", db_path: path, socket });
      return;
    }
    const body = { path, timeout: timeoutSeconds };
    const answer = await ask({ method: "POST", path: "/unregister", body });
    const { status, path: known, txid } = answer;
    printAnswer(context, flags, { status, db_path: known, final_txid: txid, socket });
  });
}
