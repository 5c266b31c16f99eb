// `headwater stop`: a running Headwater lets go of a database.
import { Command } from "commander";
import { localPath } from "../base/local-path.ts";
import type { CliContext } from "./command.ts";
import { addControlFlags, openControlClient, printAnswer } from "./control-client.ts";
import type { ControlFlags } from "./control-client.ts";

/** Prints when everything committed is in the replica and the database is no longer used. */
export function stopCommand(context: CliContext): Command {
  return addControlFlags(
    new Command("stop")
      .description(
        "Tell a running Headwater to stop replicating a database, after a last sync, until headwater start.",
      )
      .argument("<database>", "path of the database"),
    30,
  ).action(async (database: string, flags: ControlFlags) => {
    const { socket, timeoutSeconds, ask } = await openControlClient(flags, context);
    const body = { path: localPath(database), timeout: timeoutSeconds };
    const { status, path, txid } = await ask({ method: "POST", path: "/stop", body });
    printAnswer(context, flags, { status, db_path: path, state: "stopped", txid, socket });
  });
}
