// The commands of the shell that are no SQL: a dot, a name, perhaps an argument.
import { nearestOf } from "../../core/base/nearest.ts";
import type { SqlParameters } from "../../core/vfs/sql-values.ts";
import type { CliContext } from "./command.ts";
import { formatTable } from "./output.ts";
import { rowFormats } from "./row-formats.ts";
import type { ShellSession } from "./shell-session.ts";
import { parseChoiceFlag, usage } from "./values.ts";

export interface ShellTools {
  readonly context: CliContext;
  readonly session: ShellSession;
  readonly signal: AbortSignal;
}

interface ShellCommand {
  readonly argument: string;
  readonly summary: string;
  run(argument: string, tools: ShellTools): Promise<void>;
}

const commandByName: Readonly<Record<string, ShellCommand>> = {
  at: {
    argument: "TIME",
    summary:
      'look at the newest state strictly before it: .at 2 hours ago; ".at now" for the newest',
    run: async (argument, { context, session, signal }) => {
      if (argument === "") throw usage(".at needs a time, such as .at 5 minutes ago, or now.");
      await session.moveTo(argument === "now" ? {} : { at: argument }, signal);
      context.print(`${session.describe()}\n`);
    },
  },
  txid: {
    argument: "[HEX]",
    summary: "look at exactly that TXID; without one say which is being looked at",
    run: async (argument, { context, session, signal }) => {
      if (argument !== "") await session.moveTo({ txid: argument }, signal);
      context.print(`${session.describe()}\n`);
    },
  },
  refresh: {
    argument: "",
    summary: "look for a newer state",
    run: async (_, { context, session, signal }) => {
      await session.db.refresh({ signal });
      context.print(`${session.describe()}\n`);
    },
  },
  tables: {
    argument: "[LIKE]",
    summary: "list tables and views",
    run: (argument, tools) =>
      printLines(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' " +
          "AND name LIKE ? ORDER BY name",
        [argument === "" ? "%" : argument],
        tools,
      ),
  },
  schema: {
    argument: "[TABLE]",
    summary: "print the statements that made the tables, or one of them with its indexes",
    run: (argument, tools) =>
      printLines(
        "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND (?1 = '' OR tbl_name = ?1 COLLATE NOCASE)",
        [argument],
        tools,
      ),
  },
  mode: {
    argument: rowFormats.join("|"),
    summary: "how rows are printed",
    run: async (argument, { session }) => {
      session.format = parseChoiceFlag("mode", rowFormats, argument);
    },
  },
  help: {
    argument: "",
    summary: "print this",
    run: async (_, { context }) => {
      const rows = Object.entries(commandByName).map(([name, { argument, summary }]) => [
        `.${name} ${argument}`,
        summary,
      ]);
      context.print(
        `${formatTable([...rows, [".quit", "end the shell; so does Ctrl-D"]])}Statements end with a semicolon. Ctrl-C ends ` +
          "a query. ATTACH 'file:NAME?at=TIME' AS past;\nputs another moment beside this one; NAME is the last part of the URL.\n",
      );
    },
  },
};

export function isShellCommand(line: string): boolean {
  return /^\s*\.[a-z]/iu.test(line);
}

/** Runs one. `false`: the shell ends. Throws `usage/invalid` for one that there is not. */
export async function runShellCommand(line: string, tools: ShellTools): Promise<boolean> {
  const [, name = "", argument = ""] = /^\s*\.(\S+)\s*(.*?)[\s;]*$/u.exec(line) ?? [];
  if (["quit", "exit", "q"].includes(name)) return false;
  const command = Object.hasOwn(commandByName, name) ? commandByName[name] : undefined;
  if (command === undefined) {
    const near = nearestOf(name, Object.keys(commandByName));
    const hint = near === undefined ? ".help lists them." : `Did you mean .${near}?`;
    throw usage(`There is no command .${name}. ${hint}`);
  }
  await command.run(argument, tools);
  return true;
}

/** Prints the first column, one row to a line. */
async function printLines(
  sql: string,
  parameters: SqlParameters,
  { context, session, signal }: ShellTools,
): Promise<void> {
  for await (const row of session.db.query(sql, parameters, { signal })) {
    context.print(`${String(Object.values(row)[0])}\n`);
  }
}
