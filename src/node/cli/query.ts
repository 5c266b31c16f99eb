// `headwater query`: SQL on a replica, as it is or as it was, without restoring it.
import { addAbortSignal } from "node:stream";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import type { ReplicaDatabase } from "../../core/vfs/replica-database.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { addMomentFlags, addPushFlag, openSource } from "./replica-source.ts";
import type { MomentFlags, PushFlags } from "./replica-source.ts";
import { type RowFormat, type RowWriter, openRowWriter, rowFormats } from "./row-formats.ts";
import { abortOnSignals } from "./signals.ts";
import { parseChoiceFlag } from "./values.ts";

interface QueryFlags extends ConfigFlags, MomentFlags, PushFlags {
  readonly format: string;
  readonly json?: boolean;
}

/** Runs SQL and prints the rows. */
export function queryCommand(context: CliContext): Command {
  const command = new Command("query")
    .description(
      "Run SQL on a replica without restoring it. Reads only the pages that the query needs.",
    )
    .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
    .argument("[sql]", "statements; without them, or with -, they are read from standard input");
  addMomentFlags(command);
  addPushFlag(command, "also see what the primary has committed and the replica does not have yet")
    .option("--format <kind>", `how rows are printed: ${rowFormats.join(", ")}`, "table")
    .option("--json", "the same as --format json");
  return addConfigFlags(command).action(
    async (sourceText: string, sql: string | undefined, flags: QueryFlags) => {
      const format =
        flags.json === true ? "json" : parseChoiceFlag("format", rowFormats, flags.format);
      using interruption = abortOnSignals();
      const { signal } = interruption;
      const statements =
        sql === undefined || sql === "-" ? await readStatements(process.stdin, { signal }) : sql;
      await using db = await openSource(context, sourceText, flags, { signal });
      await printResults(context, { db, sql: statements, format, signal });
    },
  );
}

/** All of an input. Throws the signal's reason when it is aborted, even while nothing comes. */
export async function readStatements(
  input: Readable,
  { signal }: { readonly signal: AbortSignal },
): Promise<string> {
  try {
    return await text(addAbortSignal(signal, input));
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

export interface PrintOptions {
  readonly db: ReplicaDatabase;
  readonly sql: string;
  readonly format: RowFormat;
  readonly signal: AbortSignal;
}

/** Runs every statement and prints what has columns. Stops when nobody reads the output any more. */
export async function printResults(
  context: CliContext,
  { db, sql, format, signal }: PrintOptions,
): Promise<void> {
  let writer: RowWriter | undefined;
  let results = 0;
  for await (const { columns, rows, isLast } of db.batches(sql, { signal })) {
    if (columns.length === 0) continue;
    if (writer === undefined) {
      if (results++ > 0 && format !== "json") context.print("\n");
      writer = openRowWriter(format, columns);
    }
    context.print(writer.rows(rows));
    if (isLast) {
      context.print(writer.end());
      writer = undefined;
    }
    if (!(await context.printed())) return;
  }
}
