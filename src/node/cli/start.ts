// `headwater start`: a running Headwater goes on with a database that was stopped.
import type { Command } from "commander";
import type { CliContext } from "./command.ts";
import { switchCommand } from "./switch-command.ts";

/** Prints when the database replicates. */
export function startCommand(context: CliContext): Command {
  return switchCommand(context, {
    name: "start",
    description:
      "Tell a running Headwater to replicate a database that was stopped. To start Headwater itself: headwater replicate.",
    state: "running",
  });
}
