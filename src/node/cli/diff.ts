// `headwater diff`: which rows differ between two moments of a replica.
import { Command } from "commander";
import type { SqlRow, SqlValue } from "../../core/vfs/sql-values.ts";
import { parseTxid } from "../../core/ltx/txid.ts";
import { diffTable, listTables } from "../../core/vfs/table-diff.ts";
import type { RowChange } from "../../core/vfs/table-diff.ts";
import type { ReplicaDatabase } from "../../core/vfs/replica-database.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { openSource } from "./replica-source.ts";
import type { MomentFlags } from "./replica-source.ts";
import { formatValue, toJson } from "./row-formats.ts";
import { abortOnSignals } from "./signals.ts";
import { usage } from "./values.ts";

interface DiffFlags extends ConfigFlags {
  readonly from: string;
  readonly to?: string;
  readonly json?: boolean;
}

const schemas = { from: "past", to: "main" } as const;

const signs = { added: "+", removed: "-", changed: "~" } as const;

/** Prints every row that was added, removed or changed. */
export function diffCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("diff")
      .description(
        "Print the rows that differ between two moments of a replica: + added, - removed, ~ changed.",
      )
      .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
      .argument("[table]", "only this table")
      .requiredOption("--from <moment>", 'the earlier one: a TXID, or a time such as "2 hours ago"')
      .option("--to <moment>", "the later one; without it the newest state")
      .option("--json", "print JSON"),
  ).action(async (source: string, table: string | undefined, flags: DiffFlags) => {
    using interruption = abortOnSignals();
    const { signal } = interruption;
    const { from, to, json, ...config } = flags;
    const moment = to === undefined ? {} : momentOf(to);
    await using db = await openSource(context, source, { ...config, ...moment }, { signal });
    await attach(db, momentOf(from), signal);
    const found = await listTables(db, schemas, { signal });
    const tables = table === undefined ? found : found.filter((name) => isSameName(name, table));
    if (table !== undefined && tables.length === 0) {
      throw usage(`There is no table ${table} at either moment. There are: ${found.join(", ")}.`);
    }
    const print = json === true ? printJson : printText;
    await print(context, changesOf(db, tables, signal));
  });
}

/** A TXID as `headwater ltx` prints it, else a time. */
function momentOf(text: string): MomentFlags {
  return parseTxid(text.toLowerCase()) === undefined ? { at: text } : { txid: text };
}

async function attach(
  db: ReplicaDatabase,
  { at, txid }: MomentFlags,
  signal: AbortSignal,
): Promise<void> {
  const moment = new URLSearchParams(txid === undefined ? { at: at ?? "" } : { txid });
  // In a file name a plus stands for itself.
  const query = moment.toString().replaceAll("+", "%20");
  const file = `file:${encodeURIComponent(db.name)}?${query}`;
  const attached = db.query(`ATTACH ? AS ${schemas.from}`, [file], { signal });
  for await (const _ of attached);
}

async function* changesOf(
  db: ReplicaDatabase,
  tables: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<RowChange, void, undefined> {
  for (const table of tables) yield* diffTable(db, table, schemas, { signal });
}

async function printText(context: CliContext, changes: AsyncIterable<RowChange>): Promise<void> {
  let table: string | undefined;
  for await (const change of changes) {
    if (change.table !== table) {
      context.print(`${table === undefined ? "" : "\n"}${change.table}\n`);
      ({ table } = change);
    }
    context.print(`${signs[change.kind]} ${describe(change)}\n`);
    if (!(await context.printed())) return;
  }
  if (table === undefined) context.inform("No row differs.\n");
}

function describe({ kind, key, from, to }: RowChange): string {
  if (kind !== "changed") return formatRow(from ?? to ?? {});
  const columns = Object.keys(from ?? {}).map(
    (column) => `${column}: ${formatCell(from?.[column])} -> ${formatCell(to?.[column])}`,
  );
  return `${formatRow(key)}  ${columns.join(", ")}`;
}

function formatRow(row: SqlRow): string {
  return Object.entries(row)
    .map(([column, value]) => `${column}=${formatCell(value)}`)
    .join(" ");
}

function formatCell(value: SqlValue = null): string {
  const text = formatValue(value);
  return typeof value === "string" ? `'${text.replaceAll("'", "''")}'` : text;
}

async function printJson(context: CliContext, changes: AsyncIterable<RowChange>): Promise<void> {
  let isStarted = false;
  for await (const { table, kind, key, from, to } of changes) {
    const members = [
      `"table":${JSON.stringify(table)}`,
      `"change":"${kind}"`,
      `"key":${rowToJson(key)}`,
      ...(from === undefined ? [] : [`"from":${rowToJson(from)}`]),
      ...(to === undefined ? [] : [`"to":${rowToJson(to)}`]),
    ];
    context.print(`${isStarted ? ",\n" : "[\n"}  {${members.join(",")}}`);
    isStarted = true;
    if (!(await context.printed())) return;
  }
  context.print(isStarted ? "\n]\n" : "[]\n");
}

function rowToJson(row: SqlRow): string {
  const members = Object.entries(row).map(
    ([column, value]) => `${JSON.stringify(column)}:${toJson(value)}`,
  );
  return `{${members.join(",")}}`;
}

function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
