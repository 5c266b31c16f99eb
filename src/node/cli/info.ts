// `headwater info`: which Headwater runs here.
import { Command } from "commander";
import type { CliContext } from "./command.ts";
import { addControlFlags, openControlClient, printAnswer } from "./control-client.ts";
import type { ControlFlags } from "./control-client.ts";

/** Prints version, process and age of a running Headwater. */
export function infoCommand(context: CliContext): Command {
  return addControlFlags(
    new Command("info").description("Show version, process and age of a running Headwater."),
    10,
  ).action(async (flags: ControlFlags) => {
    const { ask } = await openControlClient(flags, context);
    printAnswer(context, flags, await ask({ method: "GET", path: "/info" }));
  });
}
