// What Headwater costs while the soak goes on: memory, processor time and the size of WALs, looked at twice a second.
import { statSync } from "node:fs";
import { peakResidentBytes, processTree, processorMs } from "../../bench/support/processes.ts";

const intervalMs = 500;

export interface Costs {
  readonly peakResidentBytes: number;
  readonly processorSeconds: number;
  readonly largestWalBytes: number;
  readonly largestWal: string;
}

export interface Measured {
  /** Process of Headwater, if it runs. */
  readonly pid: () => number | undefined;
  readonly databases: readonly string[];
}

export class Measuring implements Disposable {
  readonly #measured: Measured;
  readonly #timer: NodeJS.Timeout;
  /** Each run of Headwater is another process. */
  readonly #processorMs = new Map<number, number>();
  #peakBytes = 0;
  #wal = { bytes: 0, path: "" };

  constructor(measured: Measured) {
    this.#measured = measured;
    this.#timer = setInterval(() => this.#look(), intervalMs);
  }

  get costs(): Costs {
    const totalMs = [...this.#processorMs.values()].reduce((sum, ms) => sum + ms, 0);
    return {
      peakResidentBytes: this.#peakBytes,
      processorSeconds: totalMs / 1000,
      largestWalBytes: this.#wal.bytes,
      largestWal: this.#wal.path,
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const path of this.#measured.databases) {
      const { size = 0 } = statSync(`${path}-wal`, { throwIfNoEntry: false }) ?? {};
      if (size > this.#wal.bytes) this.#wal = { bytes: size, path };
    }
    const pid = this.#measured.pid();
    if (pid === undefined) return;
    try {
      const pids = processTree(pid);
      this.#peakBytes = Math.max(this.#peakBytes, peakResidentBytes(pids));
      this.#processorMs.set(pid, processorMs(pids));
    } catch {
      // It has just ended.
    }
  }
}
