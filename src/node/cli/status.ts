// `headwater status`: what the local state of a database says. Reads files only: no store, no network, no SQLite.
import { stat } from "node:fs/promises";
import { Command } from "commander";
import { toHex64 } from "../../core/base/bytes.ts";
import { messageOf } from "../../core/base/errors.ts";
import { localPath } from "../base/local-path.ts";
import { furthestBehind, readStateFiles } from "../engine/state-summary.ts";
import type { StateSummary } from "../engine/state-summary.ts";
import { realPathOf, stateDirectoryOf } from "../engine/state-directory.ts";
import type { VerifiedAt } from "../engine/verification-record.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags, findConfig, needConfig } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { formatJson, formatTable } from "./output.ts";
import { usage } from "./values.ts";

interface StatusFlags extends ConfigFlags {
  readonly json?: boolean;
  readonly stateDir?: string;
}

interface StatusRecord {
  readonly database: string;
  readonly status: "ok" | "not initialized" | "no database" | "error";
  readonly local_txid: string;
  readonly wal_size: string;
  readonly replica: string;
  readonly replicated_txid: string;
  readonly staged_files: number;
  readonly verification: "passed" | "healed" | "failed" | "-";
  readonly verified_at: string;
  readonly verified_txid: string;
  readonly restore_verified_at: string;
  readonly restore_verified_txid: string;
  /** Why the status is `error`. */
  readonly error?: string;
  /** Only of a database with several. */
  readonly replicas?: readonly { readonly url: string; readonly replicated_txid: string }[];
}

/** Prints Litestream's four fields, then ours. Always exits with 0, as Litestream does. */
export function statusCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("status")
      .description("Show the local state of replicated databases. Does not use the network.")
      .argument("[database...]", "path of a database")
      .option("--state-dir <path>", "local state; default: .<name>-headwater beside the database")
      .option("--json", "print JSON"),
  ).action(async (databases: readonly string[], flags: StatusFlags) => {
    if (databases.length > 1 && flags.stateDir !== undefined)
      throw usage("-state-dir goes with one database.");
    const subjects =
      databases.length === 0
        ? await listedSubjects(flags, context)
        : await namedSubjects(databases, flags, context);
    const records = await Promise.all(subjects.map(statusOf));
    context.print(flags.json === true ? formatJson(records) : formatStatus(records));
  });
}

/** The table for some databases. Does not use the network. */
export async function describeStatus(subjects: readonly Subject[]): Promise<string> {
  return formatStatus(await Promise.all(subjects.map(statusOf)));
}

interface Subject {
  readonly path: string;
  readonly stateDir: string | undefined;
}

async function listedSubjects(
  flags: StatusFlags,
  context: CliContext,
): Promise<readonly Subject[]> {
  if (flags.stateDir !== undefined) throw usage("-state-dir goes with one database.");
  const { databases } = await needConfig(flags, context, "status needs the path of a database.");
  return databases.map(({ options: { path, stateDir } }) => ({ path, stateDir }));
}

/** Only a file that was named is read: without one, status needs nothing but the state directory. */
async function namedSubjects(
  databases: readonly string[],
  flags: StatusFlags,
  context: CliContext,
): Promise<readonly Subject[]> {
  const config = flags.config === undefined ? undefined : await findConfig(flags, context);
  return databases.map((text) => {
    const path = localPath(text);
    const listed = config?.databaseAt(path)?.options;
    if (config !== undefined && listed === undefined)
      throw usage(`${config.path} lists no database ${path}.`);
    const stateDir = flags.stateDir === undefined ? listed?.stateDir : localPath(flags.stateDir);
    return { path, stateDir };
  });
}

async function statusOf({ path, stateDir }: Subject): Promise<StatusRecord> {
  const realPath = realPathOf(path);
  const stateDirectory = stateDir ?? stateDirectoryOf(path);
  const hasDatabase = (await sizeOf(realPath)) !== undefined;
  const walBytes = await sizeOf(`${realPath}-wal`);
  const record = (status: StatusRecord["status"], state?: StateSummary): StatusRecord => ({
    database: path,
    status,
    local_txid: state?.localTxid ?? "-",
    wal_size: walBytes === undefined ? "-" : humanBytes(walBytes),
    ...replicaFields(state?.replicas ?? []),
    staged_files: state?.stagedFiles ?? 0,
    ...verificationOf(state?.verification),
  });
  try {
    const state = await readStateFiles(stateDirectory);
    if (!hasDatabase) return record("no database", state);
    return record(state?.localTxid === undefined ? "not initialized" : "ok", state);
  } catch (error) {
    return { ...record("error"), error: messageOf(error) };
  }
}

function verificationOf(
  record: StateSummary["verification"],
): Pick<
  StatusRecord,
  "verification" | "verified_at" | "verified_txid" | "restore_verified_at" | "restore_verified_txid"
> {
  return {
    verification: record?.result ?? "-",
    verified_at: timeOf(record?.verified),
    verified_txid: txidOf(record?.verified),
    restore_verified_at: timeOf(record?.restoreVerified),
    restore_verified_txid: txidOf(record?.restoreVerified),
  };
}

function timeOf(one: VerifiedAt | undefined): string {
  return one === undefined ? "-" : new Date(one.atMs).toISOString();
}

function txidOf(one: VerifiedAt | undefined): string {
  return one === undefined || one.txid === 0n ? "-" : toHex64(one.txid);
}

/** With several, `replicated_txid` is that of the one that is furthest behind. */
function replicaFields(
  replicas: StateSummary["replicas"],
): Pick<StatusRecord, "replica" | "replicated_txid" | "replicas"> {
  const each = replicas.map(({ url, txid }) => ({ url, replicated_txid: txid ?? "-" }));
  const least = furthestBehind(replicas)?.txid ?? "-";
  const replica = each.map(({ url }) => url).join(", ") || "-";
  return { replica, replicated_txid: least, ...(each.length > 1 ? { replicas: each } : {}) };
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}

/** As Litestream prints sizes: `0 B`, `32 kB`, `1.5 MB`. */
function humanBytes(sizeBytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = sizeBytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  const text = unit === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(1);
  return `${text} ${units[unit] ?? "B"}`;
}

function formatStatus(records: readonly StatusRecord[]): string {
  const rows = records.flatMap((one) => {
    const { replica: url, replicated_txid } = one;
    return (one.replicas ?? [{ url, replicated_txid }]).map((replica) => [
      one.database,
      one.status,
      one.local_txid,
      one.wal_size,
      replica.url,
      replica.replicated_txid,
      one.verification,
    ]);
  });
  const table = formatTable([
    ["database", "status", "local txid", "wal size", "replica", "replicated txid", "verification"],
    ...rows,
  ]);
  const reasons = records.flatMap(({ database, error }) =>
    error === undefined ? [] : [`${database}: ${error}`],
  );
  return [table, ...reasons].join("\n");
}
