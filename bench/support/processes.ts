// What Linux knows about a process and its descendants.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** `pid` and every process below it. */
export function processTree(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8")
      .split(" ")
      .filter(Boolean)
      .map(Number),
  );
  return [pid, ...children.flatMap((child) => processTree(child))];
}

/** Processor time that all of them have used, in milliseconds; exact to the microsecond. */
export function processorMs(pids: readonly number[]): number {
  const threads = pids.flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/schedstat`),
  );
  const times = threads.map((path) => Number(readFileSync(path, "utf8").split(" ")[0]));
  return times.reduce((sum, ns) => sum + ns, 0) / 1e6;
}

/** The most memory that was resident at once in each of them, added up. */
export function peakResidentBytes(pids: readonly number[]): number {
  const peaks = pids.map(
    (pid) => /VmHWM:\s*(\d+) kB/u.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1],
  );
  return peaks.reduce((sum, kiB) => sum + Number(kiB ?? 0) * 1024, 0);
}

/** The same for `pid` and all below it, until it has ended. */
export async function peakUntilEnd(pid: number): Promise<number> {
  let peak = 0;
  for (; ; await sleep(50)) {
    try {
      peak = Math.max(peak, peakResidentBytes(processTree(pid)));
    } catch (error) {
      // One of the processes below it may end at any time.
      if (!existsSync(`/proc/${pid}`)) return peak;
      if (!isGone(error)) throw error;
    }
  }
}

function isGone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ESRCH";
}

/** Bytes that a process has read through system calls, from the page cache or not. */
export function readBytes(pid: number): number {
  return Number(/rchar: (\d+)/u.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}
