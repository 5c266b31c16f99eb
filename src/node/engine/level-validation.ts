// Litestream's `validation.interval`: a listing of the replica, now and then, whose levels are looked through for gaps and
// overlaps. What is found is told once; a gap that can be filled is filled by the next compaction.
import { formatTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { findContiguityFaults } from "../../core/replica/contiguity.ts";
import type { ReplicaParts } from "./parts.ts";

export class LevelValidation {
  readonly #parts: ReplicaParts;
  #told = new Set<string>();
  #validatedAtMs: number | undefined;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
  }

  /** Gaps and overlaps that the last look has found. */
  get faults(): number {
    return this.#told.size;
  }

  /** When that was, wall clock. */
  get validatedAtMs(): number | undefined {
    return this.#validatedAtMs;
  }

  /** Looks through a new listing. */
  check(files: readonly ReplicaFile[]): void {
    const { clock, logger } = this.#parts;
    const found = new Set<string>();
    for (const { level, kind, from, to, file } of findContiguityFaults(files)) {
      const name = `${kind} ${level} ${from} ${file.key}`;
      found.add(name);
      if (this.#told.has(name)) continue;
      logger.log("warn", "validation.failed", {
        level,
        kind,
        minTxid: formatTxid(from),
        maxTxid: formatTxid(to),
        key: file.key,
      });
    }
    if (this.#told.size > 0 && found.size === 0) logger.log("info", "validation.recovered", {});
    this.#told = found;
    this.#validatedAtMs = clock.nowMs();
  }
}
