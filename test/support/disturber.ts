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

/** Starts one as a child process. It prints `<what it did>` after each step and ends at SIGTERM. */
export function startDisturber(options: DisturberOptions): Child {
  return startModule(fileURLToPath(import.meta.url), options);
}

const modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] as const;

async function disturb({ path, seed, kind, maxMs }: DisturberOptions): Promise<void> {
  const random = createSeededRandom(seed);
  const db = new DatabaseSync(path, { timeout: 50 });
  const pause = async (): Promise<void> => {
    await sleep(random.float() * maxMs);
  };
  let stopping = false;
  const stop = (): void => {
    stopping = true;
  };
  process.on("SIGTERM", stop);
  // The parent is gone.
  process.stdin.on("end", stop).resume();
  const isStopping = (): boolean => stopping;
  while (!isStopping()) {
    if (kind === "checkpoint") {
      const mode = modes[Math.floor(random.float() * modes.length)] ?? "PASSIVE";
      const outcome = db.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
      console.log(`${mode} ${JSON.stringify(outcome)}`);
      await pause();
    } else {
      db.exec("BEGIN");
      const row = db.prepare("SELECT count(*) AS tables FROM sqlite_schema").get();
      await pause();
      db.exec("COMMIT");
      console.log(`read ${JSON.stringify(row)}`);
    }
  }
  db.close();
  process.exit(0);
}

if (import.meta.main) await disturb(JSON.parse(process.argv[2] ?? "{}") as DisturberOptions);
