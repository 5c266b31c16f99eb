// The child process behind `startLoad`.
import { DatabaseSync } from "node:sqlite";
import { createInterface } from "node:readline";
import { setImmediate as yieldTurn, setTimeout as sleep } from "node:timers/promises";
import { LedgerWriter, ledgerSchema } from "./ledger.ts";
import type { LoadOptions, LoadResult } from "./load.ts";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as LoadOptions;
const { pagesPerCommit = 5, reportMs = 100, rough = false } = options;
const random = createSeededRandom(options.seed);
const longestMs: number[] = [];
const stop = new AbortController();
let pause: PromiseWithResolvers<void> | undefined;
let seq = 0;
let transactions = 0;
let busyErrors = 0;

/** How long to work before the event loop gets a turn for signals and input. */
const turnMs = 5;

interface Connection {
  readonly db: DatabaseSync;
  readonly writer: LedgerWriter;
}

function connect(): Connection {
  const db = new DatabaseSync(options.path, { timeout: options.busyTimeoutMs ?? 10_000 });
  db.exec(`PRAGMA page_size=${options.pageSize ?? 4096}`);
  if (rough) db.exec("PRAGMA auto_vacuum=INCREMENTAL; PRAGMA cache_size=50");
  db.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=${options.synchronous ?? "NORMAL"}`);
  if (options.autocheckpoint !== undefined)
    db.exec(`PRAGMA wal_autocheckpoint=${options.autocheckpoint}`);
  db.exec(ledgerSchema);
  const writer = new LedgerWriter(db, {
    random,
    changesPerTransaction: Math.max(0, Math.round((pagesPerCommit - 1) / 2)),
    maxDocuments: options.maxDocuments ?? 20_000,
  });
  return { db, writer };
}

function commitOnce({ db, writer }: Connection): void {
  const startMs = performance.now();
  let committed: number;
  try {
    if (rough && random.float() < 0.02) db.exec("PRAGMA incremental_vacuum(20)");
    committed = writer.transaction(
      rough
        ? {
            changes: random.float() < 0.05 ? Math.floor(random.float() * 300) : undefined,
            rollback: random.float() < 0.05,
          }
        : {},
    );
  } catch (error) {
    if (!String(error).includes("locked")) throw error;
    busyErrors++;
    return;
  }
  const tookMs = performance.now() - startMs;
  if (longestMs.length < 5 || tookMs > (longestMs.at(-1) ?? 0)) {
    longestMs.push(tookMs);
    longestMs.sort((a, b) => b - a);
    longestMs.length = Math.min(5, longestMs.length);
  }
  if (committed === 0) return;
  seq = committed;
  transactions++;
}

async function run(): Promise<void> {
  let connection = connect();
  const startMs = performance.now();
  let reportedMs = startMs;
  let turnEndsMs = startMs + turnMs;
  let pausedMs = 0;
  console.log("ready");
  for (
    let step = 1;
    !stop.signal.aborted && transactions < (options.transactions ?? Infinity);
    step++
  ) {
    const nowMs = performance.now();
    if (nowMs - startMs > (options.seconds ?? Infinity) * 1000) break;
    if (rough && step % 200 === 0) {
      connection.db.close();
      connection = connect();
    }
    commitOnce(connection);
    const doneMs = performance.now();
    if (doneMs - reportedMs >= reportMs) {
      reportedMs = doneMs;
      console.log(`committed ${seq}`);
    }
    if (options.commitsPerSecond !== undefined) {
      const dueMs = startMs + pausedMs + (step * 1000) / options.commitsPerSecond;
      await sleep(Math.max(0, dueMs - performance.now()));
    } else if (doneMs > turnEndsMs) {
      await yieldTurn();
      turnEndsMs = performance.now() + turnMs;
    }
    if (pause !== undefined) {
      console.log(`paused ${seq}`);
      await pause.promise;
      pausedMs += performance.now() - doneMs;
    }
  }
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`committed ${seq}`);
  const result: LoadResult = { seq, transactions, seconds, busyErrors, longestMs };
  console.log(`result ${JSON.stringify(result)}`);
  // A process that exits with its connection open leaves the WAL as it is.
  if (options.end !== "exit") connection.db.close();
}

function end(): void {
  stop.abort();
  pause?.resolve();
}

process.on("SIGTERM", end);
createInterface({ input: process.stdin })
  .on("line", (line) => {
    if (line === "pause") {
      pause ??= Promise.withResolvers();
    } else {
      pause?.resolve();
      pause = undefined;
    }
  })
  // The parent is gone.
  .on("close", end);
await run();
process.exit(0);
