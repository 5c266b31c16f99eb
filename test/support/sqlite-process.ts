// Drives a child process that works on a database (sqlite-child.ts, or its Python twin).
import { spawn, spawnSync, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Workload } from "./workload.ts";

const script = (name: string): string => fileURLToPath(new URL(`./${name}`, import.meta.url));

/** True when a Python with SQLite can be started. */
export const hasPython = spawnSync("python3", ["-c", "import sqlite3"]).status === 0;

/** An application on one database, with one connection. Requests are answered in order. */
export class SqliteProcess implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #replies: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string, runtime: "node" | "python" = "node") {
    const [command, file] =
      runtime === "node" ? [process.execPath, "sqlite-child.ts"] : ["python3", "sqlite_child.py"];
    this.#child = spawn(command, [script(file), path], { stdio: ["pipe", "pipe", "inherit"] });
    this.#replies = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async exec(sql: string): Promise<void> {
    await this.#ask({ exec: sql });
  }

  async all(sql: string): Promise<readonly Record<string, unknown>[]> {
    return (await this.#ask({ all: sql })) as Record<string, unknown>[];
  }

  /** Resolves with the number of commits. */
  async workload(workload: Workload): Promise<number> {
    return (await this.#ask({ workload })) as number;
  }

  /** Commits so many transactions to the ledger (ledger.ts); resolves with the number of the newest. */
  async ledger(
    transactions: number,
    options: { changes?: number; seed?: number } = {},
  ): Promise<number> {
    const { changes = 1, seed = 1 } = options;
    return (await this.#ask({ ledger: { transactions, changes, seed } })) as number;
  }

  /** The database as SQLite sees it, checkpointed into one file. Nobody may write meanwhile. */
  async truth(): Promise<Uint8Array> {
    return Buffer.from((await this.#ask({ truth: true })) as string, "base64");
  }

  /** Closes the connection; the next request opens another. */
  async close(): Promise<void> {
    await this.#ask({ close: true });
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #ask(request: object): Promise<unknown> {
    const reply = this.#last.then(async () => {
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
      const line = await this.#replies.next();
      if (line.done === true) throw new Error("the SQLite process has ended");
      const { result, error } = JSON.parse(line.value) as { result?: unknown; error?: string };
      if (error !== undefined) throw new Error(error);
      return result;
    });
    this.#last = reply.catch(() => undefined);
    return reply;
  }
}
