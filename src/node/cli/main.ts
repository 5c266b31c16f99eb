// The command line: finds the command, loads only its module, turns what it throws into an exit code. Called by
// bin/headwater.js.
import { type Command, CommanderError } from "commander";
import { hasCode, messageOf, platformCode } from "../../core/base/errors.ts";
import type { CliCommand, CliContext } from "./command.ts";
import { asksForHelp, isHelpFlag, normalizeFlags } from "./flags.ts";
import { formatTable } from "./output.ts";

const commands: readonly CliCommand[] = [
  {
    name: "replicate",
    summary: "replicate a live database to a replica",
    load: async () => (await import("./replicate.ts")).replicateCommand,
  },
  {
    name: "restore",
    summary: "restore a database from a replica",
    load: async () => (await import("./restore.ts")).restoreCommand,
  },
  {
    name: "follow",
    summary: "keep a local database up to date with a replica",
    load: async () => (await import("./follow.ts")).followCommand,
  },
  {
    name: "databases",
    summary: "list the databases of a configuration file",
    load: async () => (await import("./databases.ts")).databasesCommand,
  },
  {
    name: "ltx",
    aliases: ["wal"],
    summary: "list the files of a replica",
    load: async () => (await import("./ltx.ts")).ltxCommand,
  },
  {
    name: "timeline",
    summary: "list the moments that can be restored",
    load: async () => (await import("./timeline.ts")).timelineCommand,
  },
  {
    name: "query",
    summary: "run SQL on a replica, as it is or as it was, without restoring it",
    load: async () => (await import("./query.ts")).queryCommand,
  },
  {
    name: "shell",
    summary: "type SQL on a replica, at any moment of it",
    load: async () => (await import("./shell.ts")).shellCommand,
  },
  {
    name: "diff",
    summary: "print the rows that differ between two moments of a replica",
    load: async () => (await import("./diff.ts")).diffCommand,
  },
  {
    name: "verify",
    summary: "check and prove every file of a replica",
    load: async () => (await import("./verify.ts")).verifyCommand,
  },
  {
    name: "prune",
    summary: "delete what retention no longer keeps, or say what that is",
    load: async () => (await import("./prune.ts")).pruneCommand,
  },
  {
    name: "lease",
    summary: "show who writes a replica, or remove a dead writer's lease",
    load: async () => (await import("./lease.ts")).leaseCommand,
  },
  {
    name: "status",
    summary: "show the local state of a database",
    load: async () => (await import("./status.ts")).statusCommand,
  },
  {
    name: "doctor",
    summary: "probe databases and stores, and say what to change",
    load: async () => (await import("./doctor.ts")).doctorCommand,
  },
  {
    name: "start",
    summary: "go on with a database that was stopped, in a running Headwater",
    load: async () => (await import("./start.ts")).startCommand,
  },
  {
    name: "stop",
    summary: "stop replicating a database, in a running Headwater",
    load: async () => (await import("./stop.ts")).stopCommand,
  },
  {
    name: "sync",
    summary: "capture what is committed now, or wait until it is in the replica",
    load: async () => (await import("./sync.ts")).syncCommand,
  },
  {
    name: "register",
    summary: "add a database to a running Headwater",
    load: async () => (await import("./register.ts")).registerCommand,
  },
  {
    name: "unregister",
    summary: "take a database out of a running Headwater",
    load: async () => (await import("./unregister.ts")).unregisterCommand,
  },
  {
    name: "list",
    summary: "list the databases of a running Headwater",
    load: async () => (await import("./list.ts")).listCommand,
  },
  {
    name: "info",
    summary: "show which Headwater is running",
    load: async () => (await import("./info.ts")).infoCommand,
  },
  {
    name: "reset",
    summary: "delete the local state of a database",
    load: async () => (await import("./reset.ts")).resetCommand,
  },
  {
    name: "demo",
    summary: "see it work in a temporary directory, in about 15 seconds",
    load: async () => (await import("./demo.ts")).demoCommand,
  },
  {
    name: "version",
    summary: "print the version",
    load: async () => (await import("./version.ts")).versionCommand,
  },
];

/** Runs one command line, without the program's name. Resolves to the exit code; never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const context: CliContext = {
    print: (text) => void process.stdout.write(text),
    printed,
    inform: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY,
    environment: process.env,
    exitWith: (code) => {
      exitCode = code;
    },
  };
  adoptLitestreamCredentials();
  process.stdout.on("error", endQuietly);
  const [first = "", ...rest] = argv;
  try {
    if (first === "help" || isHelpFlag(first)) return await help(context, rest[0]);
    const found = commandNamed(first);
    if (found !== undefined) {
      await run(found, first, rest, context);
      return exitCode;
    }
    if (/^--?version$/u.test(first)) return await main(["version", ...rest]);
    if (first !== "" && !first.startsWith("-")) {
      context.inform(`Error: there is no command ${JSON.stringify(first)}.\nTry: headwater help\n`);
    } else {
      context.inform(usageText());
    }
    return 1;
  } catch (error) {
    return fail(error, first, context);
  }
}

async function run(
  { name, load }: CliCommand,
  calledAs: string,
  argv: readonly string[],
  context: CliContext,
): Promise<void> {
  const make = await load();
  const command = prepare(make(context), context);
  if (calledAs !== name) {
    context.inform(`Warning: headwater ${calledAs} is the old name of headwater ${name}.\n`);
  }
  if (asksForHelp(command, argv)) {
    context.print(command.helpInformation());
    return;
  }
  await command.parseAsync([...normalizeFlags(command, argv)], { from: "user" });
}

async function help(context: CliContext, name: string | undefined): Promise<number> {
  const found = name === undefined ? undefined : commandNamed(name);
  if (found === undefined) {
    context.print(usageText());
    return 0;
  }
  const make = await found.load();
  context.print(prepare(make(context), context).helpInformation());
  return 0;
}

/** Errors are thrown, not printed and exited on: `fail` prints them. */
function prepare(command: Command, context: CliContext): Command {
  return command
    .exitOverride()
    .helpOption("-h, --help", "print this")
    .configureOutput({ writeOut: context.print, writeErr: () => undefined })
    .configureHelp({ commandUsage: (shown) => `headwater ${shown.name()} ${shown.usage()}` });
}

function fail(error: unknown, command: string, context: CliContext): number {
  const isUsage = error instanceof CommanderError || hasCode(error, "usage/invalid");
  const message = messageOf(error).replace(/^error: /u, "");
  context.inform(`Error: ${message}\n`);
  if (isUsage) context.inform(`Try: headwater help ${command}\n`);
  if (context.environment["HEADWATER_DEBUG"] !== undefined && error instanceof Error) {
    context.inform(`${error.stack ?? ""}\n`);
  }
  return 1;
}

/** A reader that has seen enough, as in `headwater ltx ... | head`, is no failure. */
function endQuietly(error: unknown): void {
  if (platformCode(error) !== "EPIPE") throw error;
}

/** A pipe whose reader is slow takes no more for a while; one whose reader has gone never will. */
async function printed(): Promise<boolean> {
  const { stdout } = process;
  if (stdout.writableNeedDrain && !stdout.destroyed) {
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        for (const event of ["drain", "close", "error"]) stdout.off(event, settle);
        resolve();
      };
      for (const event of ["drain", "close", "error"]) stdout.on(event, settle);
    });
  }
  return stdout.writable;
}

function commandNamed(name: string): CliCommand | undefined {
  return commands.find(
    (command) => command.name === name || command.aliases?.includes(name) === true,
  );
}

function usageText(): string {
  const list = formatTable(commands.map(({ name, summary }) => [`  ${name}`, summary]));
  return (
    "Headwater keeps SQLite databases safe: continuous replication and exact restore.\n\n" +
    "Usage: headwater COMMAND [flags] [arguments]\n\n" +
    `Commands:\n${list}\n` +
    "headwater help COMMAND prints the flags of a command. Flags take one dash or two.\n"
  );
}

/** As Litestream does: its own names for the credentials serve where the common ones are not set. */
function adoptLitestreamCredentials(): void {
  for (const name of ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"]) {
    const value = process.env[`LITESTREAM_${name}`];
    if (value !== undefined) process.env[`AWS_${name}`] ??= value;
  }
}
