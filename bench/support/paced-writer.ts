// An application that commits at a steady rate into one table, each commit updating some rows chosen by chance, and tells
// how long each took. Runs until its input ends or its time is over; prints `ready` and at the end one line of JSON.
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

export interface PacedOptions {
  readonly path: string;
  readonly synchronous: "NORMAL" | "FULL";
  readonly commitsPerSecond: number;
  readonly rowsPerCommit: number;
  /** How many commits; without it, until the input ends. */
  readonly commits?: number | undefined;
}

export interface PacedResult {
  /** When each commit returned, in milliseconds of the machine's monotonic clock. */
  readonly returnedAtMs: readonly number[];
  readonly tookMs: readonly number[];
}

/** The machine's monotonic clock, the same in every process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const rows = 20_000;

async function main(options: PacedOptions): Promise<PacedResult> {
  const ended = new AbortController();
  process.stdin.on("end", () => ended.abort()).resume();
  const db = new DatabaseSync(options.path, { timeout: 10_000 });
  db.exec(`
    PRAGMA journal_mode=WAL; PRAGMA synchronous=${options.synchronous};
    CREATE TABLE IF NOT EXISTS paced(id INTEGER PRIMARY KEY, value INTEGER, body TEXT);
    WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ${rows})
      INSERT OR IGNORE INTO paced SELECT id, 0, hex(randomblob(100)) FROM n;
  `);
  const update = db.prepare("UPDATE paced SET value = value + 1 WHERE id = ?");
  const returnedAtMs: number[] = [];
  const tookMs: number[] = [];
  console.log("ready");
  const startMs = monotonicMs();
  while (!ended.signal.aborted && returnedAtMs.length < (options.commits ?? Infinity)) {
    const dueMs = startMs + (returnedAtMs.length * 1000) / options.commitsPerSecond;
    await sleep(Math.max(0, dueMs - monotonicMs()));
    const beganMs = monotonicMs();
    db.exec("BEGIN IMMEDIATE");
    for (let i = 0; i < options.rowsPerCommit; i++)
      update.run(1 + Math.floor(Math.random() * rows));
    db.exec("COMMIT");
    const endedMs = monotonicMs();
    returnedAtMs.push(endedMs);
    tookMs.push(endedMs - beganMs);
  }
  return { returnedAtMs, tookMs };
}

if (import.meta.main) {
  const result = await main(JSON.parse(process.argv[2] ?? "{}") as PacedOptions);
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}
