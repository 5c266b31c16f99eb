// The application in tests: a process that writes provable transactions (ledger.ts) into a database until told to stop.
// It prints `committed <seq>` as it goes and `result <json>` at the end; its input takes `pause` and `resume`.
import { fileURLToPath } from "node:url";
import { Child, startModule } from "./children.ts";

export interface LoadOptions {
  readonly path: string;
  readonly seed: number;
  /** Ends after so long, or after so many transactions, or at SIGTERM. */
  readonly seconds?: number | undefined;
  readonly transactions?: number | undefined;
  /** Absent: as fast as it goes. */
  readonly commitsPerSecond?: number | undefined;
  /** About so many pages change per transaction. */
  readonly pagesPerCommit?: number | undefined;
  readonly synchronous?: "OFF" | "NORMAL" | "FULL" | undefined;
  /** For a new database. */
  readonly pageSize?: number | undefined;
  readonly maxDocuments?: number | undefined;
  readonly autocheckpoint?: number | undefined;
  readonly busyTimeoutMs?: number | undefined;
  /** At most one `committed` line per so many milliseconds; 0 = one per transaction. */
  readonly reportMs?: number | undefined;
  /** `close`: as a tidy application, which may checkpoint and delete the WAL. `exit`: keeps the WAL. */
  readonly end?: "close" | "exit" | undefined;
  /** Small cache (spills), rollbacks, large transactions, incremental vacuum, reconnecting. */
  readonly rough?: boolean | undefined;
}

export interface LoadResult {
  readonly seq: number;
  readonly transactions: number;
  readonly seconds: number;
  readonly busyErrors: number;
  /** The five longest transactions, longest first. */
  readonly longestMs: readonly number[];
}

/** Starts the writer as a child process. */
export function startLoad(options: LoadOptions): Child {
  return startModule(fileURLToPath(new URL("load-writer.ts", import.meta.url)), options);
}

/** Starts its twin in Python: another SQLite library, the same lines. Takes no `rough`, `pause` or `resume`. */
export function startPythonLoad(options: LoadOptions): Child {
  return new Child("/usr/bin/python3", [
    fileURLToPath(new URL("load-writer.py", import.meta.url)),
    JSON.stringify(options),
  ]);
}

/** The number in the newest `committed` line; 0 if there is none yet. */
export function lastCommitted(child: Child): number {
  const line = child.lines.findLast((text) => text.startsWith("committed "));
  return line === undefined ? 0 : Number(line.slice("committed ".length));
}

/** Stops the writer between two transactions; resolves with the newest number. `send("resume")` goes on. */
export async function pauseLoad(child: Child): Promise<number> {
  const from = child.lines.length;
  child.send("pause");
  const line = await child.line((text) => text.startsWith("paused "), from);
  return Number(line.slice("paused ".length));
}

/** Waits for the `result` line. */
export async function loadResult(child: Child): Promise<LoadResult> {
  const line = await child.line((text) => text.startsWith("result "));
  return JSON.parse(line.slice("result ".length)) as LoadResult;
}
