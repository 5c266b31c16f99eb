// `headwater register`: a running Headwater takes one more database in.
import { Command } from "commander";
import { localPath } from "../base/local-path.ts";
import type { CliContext } from "./command.ts";
import { addControlFlags, openControlClient, printAnswer } from "./control-client.ts";
import type { ControlFlags } from "./control-client.ts";
import { usage } from "./values.ts";

interface RegisterFlags extends ControlFlags {
  readonly replica?: string;
}

/** Prints when the database is taken in. */
export function registerCommand(context: CliContext): Command {
  return addControlFlags(
    new Command("register")
      .description(
        "Tell a running Headwater to replicate one more database, until it ends. Settings and credentials at the top " +
          "of its configuration file hold for it.",
      )
      .argument("<database>", "path of the database; it may not exist yet")
      .option("--replica <url>", "URL of the replica: file:///absolute/path or s3://bucket/path"),
    30,
  ).action(async (database: string, flags: RegisterFlags) => {
    const { replica } = flags;
    if (replica === undefined) throw usage("Say where to replicate to: -replica URL.");
    const { socket, ask } = await openControlClient(flags, context);
    const body = { path: localPath(database), replica_url: replica };
    const { status, path } = await ask({ method: "POST", path: "/register", body });
    printAnswer(context, flags, { status, db_path: path, replica, socket });
  });
}
