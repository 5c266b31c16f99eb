// What other connections of an application do to a replicator: checkpoints in every mode, and readers that stay long.
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startModule } from "./children.ts";
import type { Child } from "./children.ts";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";

export interface DisturberOptions {
  readonly path: string;
  readonly seed: number;
  /** `checkpoint`: random modes; `read`: a read transaction, held, then ended. */
  readonly kind: "checkpoint" | "read";
  /** Longest pause between checkpoints, longest time a read transaction is held; each a random part of it. */
  readonly maxMs: number;
}

/** Starts one as a child process. It prints what it did after each step and ends at SIGTERM. */
export function startDisturber(options: DisturberOptions): Child {
  return startModule(fileURLToPath(import.meta.url), options);
}

const modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] as const;

async function disturb({ path, seed, kind, maxMs }: DisturberOptions): Promise<void> {
  const random = createSeededRandom(seed);
  const db = new DatabaseSync(path, { timeout: 50 });
  const pause = (): Promise<void> => sleep(random.float() * maxMs);

  const checkpoint = async (): Promise<string> => {
    const mode = modes[Math.floor(random.float() * modes.length)] ?? "PASSIVE";
    const outcome = db.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
    await pause();
    return `${mode} ${JSON.stringify(outcome)}`;
  };
  const read = async (): Promise<string> => {
    db.exec("BEGIN");
    const row = db.prepare("SELECT count(*) AS tables FROM sqlite_schema").get();
    await pause();
    db.exec("COMMIT");
    return `read ${JSON.stringify(row)}`;
  };

  const stop = new AbortController();
  process.on("SIGTERM", () => stop.abort());
  // The parent is gone.
  process.stdin.on("end", () => stop.abort()).resume();
  while (!stop.signal.aborted) {
    try {
      console.log(await (kind === "read" ? read() : checkpoint()));
    } catch (error) {
      if (!String(error).includes("locked")) throw error;
      // Somebody was faster: the next attempt may get through.
      if (db.isTransaction) db.exec("ROLLBACK");
    }
  }
  db.close();
  process.exit(0);
}

if (import.meta.main) await disturb(JSON.parse(process.argv[2] ?? "{}") as DisturberOptions);
