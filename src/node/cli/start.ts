// `headwater start`: a running Headwater goes on with a database that was stopped.
import { Command } from "commander";
import { localPath } from "../base/local-path.ts";
import type { CliContext } from "./command.ts";
import { addControlFlags, openControlClient, printAnswer } from "./control-client.ts";
import type { ControlFlags } from "./control-client.ts";

/** Prints when the database replicates. */
export function startCommand(context: CliContext): Command {
  return addControlFlags(
    new Command("start")
      .description(
        "Tell a running Headwater to replicate a database that was stopped. To start Headwater itself: headwater replicate.",
      )
      .argument("<database>", "path of the database"),
    30,
  ).action(async (database: string, flags: ControlFlags) => {
    const { socket, timeoutSeconds, ask } = await openControlClient(flags, context);
    const body = { path: localPath(database), timeout: timeoutSeconds };
    const { status, path, txid } = await ask({ method: "POST", path: "/start", body });
    printAnswer(context, flags, { status, db_path: path, state: "running", txid, socket });
  });
}
