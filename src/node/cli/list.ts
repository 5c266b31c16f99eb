// `headwater list`: the databases of a running Headwater.
import { Command } from "commander";
import type { CliContext } from "./command.ts";
import { addControlFlags, openControlClient, printAnswer } from "./control-client.ts";
import type { ControlFlags } from "./control-client.ts";

/** Prints each database with its state and its last upload. */
export function listCommand(context: CliContext): Command {
  return addControlFlags(
    new Command("list").description("List the databases of a running Headwater."),
    10,
  ).action(async (flags: ControlFlags) => {
    const { ask } = await openControlClient(flags, context);
    const answer = await ask({ method: "GET", path: "/list" });
    if (flags.json === true) {
      printAnswer(context, flags, answer);
      return;
    }
    const databases: unknown = answer["databases"];
    const lines = Array.isArray(databases) ? databases.map(describe) : [];
    context.print(lines.length === 0 ? "No databases.\n" : lines.join(""));
  });
}

function describe(database: unknown): string {
  const fields = new Map<string, unknown>(Object.entries(database ?? {}));
  const field = (name: string, otherwise = ""): string =>
    fields.has(name) ? String(fields.get(name)) : otherwise;
  const error = fields.has("error") ? `: ${field("error")}` : "";
  return `${field("path")} [${field("status")}] (last sync: ${field("last_sync_at", "never")})${error}\n`;
}
