// What `headwater start` and `headwater stop` have in common: one order about one database, and what became of it.
import { Command } from "commander";
import { localPath } from "../base/local-path.ts";
import type { CliContext } from "./command.ts";
import { addControlFlags, openControlClient, printAnswer } from "./control-client.ts";
import type { ControlFlags } from "./control-client.ts";

export interface SwitchOptions {
  readonly name: "start" | "stop";
  readonly description: string;
  /** What the database is afterwards. */
  readonly state: "running" | "stopped";
}

/** Gives the order and prints when it is carried out. */
export function switchCommand(
  context: CliContext,
  { name, description, state }: SwitchOptions,
): Command {
  return addControlFlags(
    new Command(name).description(description).argument("<database>", "path of the database"),
    30,
  ).action(async (database: string, flags: ControlFlags) => {
    const { socket, timeoutSeconds, ask } = await openControlClient(flags, context);
    const body = { path: localPath(database), timeout: timeoutSeconds };
    const { status, path, txid } = await ask({ method: "POST", path: `/${name}`, body });
    printAnswer(context, flags, { status, db_path: path, state, txid, socket });
  });
}
