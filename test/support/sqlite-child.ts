// A process that works on a database as an application would: started with a path, told what to do line by line.
// Tests of capture must never open a live database themselves, because closing it would drop the locks they test.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { LedgerWriter, ledgerSchema } from "./ledger.ts";
import { runWorkload } from "./workload.ts";

const [path = ""] = process.argv.slice(2);

interface LedgerRequest {
  readonly transactions: number;
  readonly changes: number;
  readonly seed: number;
}

let database: DatabaseSync | undefined;

function connection(): DatabaseSync {
  database ??= new DatabaseSync(path, { timeout: 5000 });
  return database;
}

/** Appends transactions to the ledger (ledger.ts); returns the number of the newest. */
function ledger({ transactions, changes, seed }: LedgerRequest): number {
  // No test cuts the power: commits need not wait for the disk.
  connection().exec(`PRAGMA synchronous=OFF; ${ledgerSchema}`);
  const writer = new LedgerWriter(connection(), {
    random: createSeededRandom(seed),
    changesPerTransaction: changes,
    maxDocuments: 5_000,
  });
  let seq = 0;
  for (let i = 0; i < transactions; i++) seq = writer.transaction();
  return seq;
}

/** The database as SQLite sees it now, as one checkpointed file: base64. Nobody may write meanwhile. */
function truth(): string {
  const directory = mkdtempSync(join(tmpdir(), "headwater-truth-"));
  try {
    const copy = join(directory, "copy.db");
    copyFileSync(path, copy);
    if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${copy}-wal`);
    const opened = new DatabaseSync(copy);
    opened.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    opened.close();
    return readFileSync(copy).toString("base64");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function answer(request: Record<string, unknown>): unknown {
  if (typeof request["exec"] === "string") return connection().exec(request["exec"]) ?? null;
  if (typeof request["all"] === "string") return connection().prepare(request["all"]).all();
  if (typeof request["workload"] === "object") {
    return runWorkload(connection(), request["workload"] as Parameters<typeof runWorkload>[1]);
  }
  if (typeof request["ledger"] === "object") return ledger(request["ledger"] as LedgerRequest);
  if (request["truth"] === true) return truth();
  if (request["close"] === true) {
    database?.close();
    database = undefined;
    return null;
  }
  throw new Error(`unknown request ${JSON.stringify(request)}`);
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply: unknown;
  try {
    reply = { result: answer(JSON.parse(line) as Record<string, unknown>) };
  } catch (error) {
    reply = { error: error instanceof Error ? error.message : String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
