// One participant of the capture stress: `stress-child.ts ROLE PATH SEED`, until its input ends. Prints, as its last
// line, how many transactions it committed.
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { runWorkload, seededRandom } from "./workload.ts";

const [role = "", path = "", seedText = "0"] = process.argv.slice(2);
const seed = Number(seedText);
const random = seededRandom(seed);
const stopping = new AbortController();
let committed = 0;
process.stdin.on("end", () => stopping.abort());
process.stdin.resume();

const open = (timeout: number): DatabaseSync => new DatabaseSync(path, { timeout });

/** Commits as fast as it can, with the default automatic checkpoints, and reconnects now and then. */
async function write(): Promise<void> {
  for (let round = 0; !stopping.signal.aborted; round++) {
    const database = open(10_000);
    database.exec(`PRAGMA synchronous=${seed % 4 === 0 ? "FULL" : "NORMAL"}`);
    for (let burst = 0; burst < 40 && !stopping.signal.aborted; burst++) {
      try {
        const next = seed * 1_000_000 + round * 1000 + burst;
        const workload = { seed: next, transactions: 25, maxRows: 120, heavyShare: 0.02 };
        runWorkload(database, workload, () => committed++);
      } catch (error) {
        // A transaction that found the database locked has not happened.
        if (!(error instanceof Error) || !error.message.includes("locked")) throw error;
        if (database.isTransaction) database.exec("ROLLBACK");
      }
      await sleep(random() < 0.05 ? 20 : 0);
    }
    database.close();
  }
}

/** Checkpoints in every mode, whenever it can. */
async function interfere(): Promise<void> {
  while (!stopping.signal.aborted) {
    const database = open(random() < 0.5 ? 0 : 50);
    for (let i = 0; i < 20 && !stopping.signal.aborted; i++) {
      const mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][Math.floor(random() * 4)];
      try {
        database.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
      } catch {
        // Locked: the next one may get through.
      }
      await sleep(random() * 15);
    }
    database.close();
  }
}

/** Holds read transactions for up to a second. */
async function read(): Promise<void> {
  const database = open(10_000);
  while (!stopping.signal.aborted) {
    database.exec("BEGIN");
    database.prepare("SELECT count(*) FROM item").get();
    await sleep(random() * 1000);
    database.exec("COMMIT");
    await sleep(random() * 1000);
  }
  database.close();
}

const roles: Readonly<Record<string, () => Promise<void>>> = { write, interfere, read };
await roles[role]?.();
process.stdout.write(`${committed}\n`);
