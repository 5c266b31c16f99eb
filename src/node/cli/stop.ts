// `headwater stop`: a running Headwater lets go of a database.
import type { Command } from "commander";
import type { CliContext } from "./command.ts";
import { switchCommand } from "./switch-command.ts";

/** Prints when everything committed is in the replica and the database is no longer used. */
export function stopCommand(context: CliContext): Command {
  return switchCommand(context, {
    name: "stop",
    description:
      "Tell a running Headwater to stop replicating a database, after a last sync, until headwater start.",
    state: "stopped",
  });
}
