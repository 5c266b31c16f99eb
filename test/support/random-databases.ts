// An application that makes, changes and deletes databases at random, keeping some connections open and closing others.
// The argument is JSON: paths, number of steps, seed. Prints the paths of the databases that are there at the end.
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { removeDatabase } from "./scene.ts";

export interface RandomDatabasesOptions {
  readonly paths: readonly string[];
  readonly steps: number;
  readonly seed: number;
}

async function main({ paths, steps, seed }: RandomDatabasesOptions): Promise<void> {
  const random = createSeededRandom(seed);
  const open = new Map<string, DatabaseSync>();
  const close = (path: string): void => {
    open.get(path)?.close();
    open.delete(path);
  };
  for (let i = 0; i < steps; i++) {
    const path = paths[Math.floor(random.float() * paths.length)] ?? "";
    const chance = random.float();
    if (chance < 0.15 && existsSync(path)) {
      close(path);
      removeDatabase(path);
    } else {
      const db = open.get(path) ?? new DatabaseSync(path, { timeout: 10_000 });
      open.set(path, db);
      db.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE IF NOT EXISTS t (x)");
      db.prepare("INSERT INTO t VALUES (?)").run(`${i} ${"x".repeat(random.float() * 3_000)}`);
      if (chance > 0.7) close(path);
    }
    await sleep(random.float() * 8);
  }
  for (const path of open.keys()) close(path);
  console.log(JSON.stringify(paths.filter((path) => existsSync(path))));
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? "{}") as RandomDatabasesOptions);
