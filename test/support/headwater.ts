// bin/headwater.js in a process of its own, as a user starts it.
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { Child } from "./children.ts";

const program = fileURLToPath(new URL("../../bin/headwater.js", import.meta.url));

/** Runs a command line, without the program's name. */
export function headwater(args: readonly string[], env: Record<string, string> = {}): Child {
  return new Child(process.execPath, [program, ...args], { env });
}

/** Writes to a database in WAL mode with a connection that is closed again. */
export function write(path: string, sql: string): void {
  using db = new DatabaseSync(path);
  db.exec(`PRAGMA journal_mode=WAL; PRAGMA busy_timeout=5000; ${sql}`);
}

/** The values of `x` in table `t`, in order. */
export function rows(path: string): unknown[] {
  using db = new DatabaseSync(path, { readOnly: true });
  const all = db.prepare("SELECT x FROM t ORDER BY x").all();
  return all.map((row) => row["x"]);
}
