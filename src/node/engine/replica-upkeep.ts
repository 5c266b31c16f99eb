// What is done for one replica beside uploads: its levels, its verification, its manifest. Each has its own times and tells its
// own failures; none keeps an upload waiting.
import { type ReplicaFile, listReplica } from "../../core/replica/catalog.ts";
import type { LevelsStatus, ReplicaStatus } from "./engine-status.ts";
import { Levels } from "./levels.ts";
import { ManifestWriter } from "./manifest-writer.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Stager } from "./stager.ts";
import { Verification, noVerification } from "./verification.ts";
import type { Waiting } from "./waiting.ts";

export interface UpkeepHooks {
  readonly stager: Stager;
  /** Every TXID up to it is in the replica. */
  readonly ackedThrough: () => bigint;
  /** Runs `work` while nothing is put. */
  readonly whilePaused: <T>(work: () => Promise<T>) => Promise<T>;
  /** Puts a full image of the newest TXID. */
  readonly putSnapshot: (waiting: Waiting) => Promise<void>;
  /** Level 1 holds more than before. */
  readonly onCompacted: () => void;
}

/** The status where nobody makes levels. */
export const noLevels: LevelsStatus = Object.freeze({
  compactedThrough: 0n,
  compactions: 0,
  snapshots: 0,
  deletedFiles: 0,
  repairedFiles: 0,
  lostFiles: 0,
  validationFaults: 0,
  validatedAtMs: undefined,
  failingSinceMs: undefined,
  lastError: undefined,
});

export class ReplicaUpkeep {
  readonly #parts: ReplicaParts;
  /** `undefined`: nobody here makes levels. */
  readonly #levels: Levels | undefined;
  /** `undefined`: nothing is verified. */
  readonly #verification: Verification | undefined;
  /** `undefined`: no manifest is written. */
  readonly #manifest: ManifestWriter | undefined;

  constructor(parts: ReplicaParts, hooks: UpkeepHooks) {
    this.#parts = parts;
    const { putSnapshot, onCompacted, stager, ackedThrough } = hooks;
    this.#levels =
      parts.schedule && new Levels(parts, parts.schedule, { putSnapshot, onCompacted });
    this.#verification =
      parts.verification &&
      new Verification(parts, parts.verification, {
        stager,
        ackedThrough,
        whileNotUploading: hooks.whilePaused,
        putSnapshot,
      });
    const { manifest } = parts.link;
    this.#manifest =
      manifest &&
      new ManifestWriter(parts, manifest, {
        files: (waiting) => this.#files(waiting),
        onNoHotPages: () => this.#levels?.noteNoHotPages(),
      });
  }

  /** Level 1 holds everything up to it; `undefined` if nobody here makes it. */
  get compactedThrough(): bigint | undefined {
    return this.#levels?.compactedThrough;
  }

  get status(): Pick<ReplicaStatus, "levels" | "verification" | "manifest"> {
    return {
      levels: this.#levels?.status ?? noLevels,
      verification: this.#verification?.status ?? noVerification,
      manifest: this.#manifest?.status,
    };
  }

  /** Something is under way, or will be within `ms`. */
  isBusyWithin(ms: number): boolean {
    const isBusy = [
      this.#levels?.isBusyWithin(ms),
      this.#manifest?.isBusy,
      this.#verification?.isBusyWithin(ms),
    ];
    return isBusy.includes(true);
  }

  /** How long until something is due if nothing changes, ms; `Infinity` = never. */
  get msUntilDue(): { readonly levelsMs: number; readonly verificationMs: number } {
    return {
      levelsMs: this.#levels?.msUntilDue ?? Number.POSITIVE_INFINITY,
      verificationMs: this.#verification?.msUntilDue ?? Number.POSITIVE_INFINITY,
    };
  }

  /** The replica has taken a level-0 file, or an earlier engine has left something of the levels to do. */
  noteUpload(): void {
    this.#levels?.noteUpload();
  }

  /** Works until aborted. Never throws. */
  async run(waiting: Waiting): Promise<void> {
    await Promise.all([
      this.#levels?.run(waiting),
      this.#verification?.run(waiting),
      this.#manifest?.run(waiting),
    ]);
  }

  /** Writes the manifest of what was uploaded last. Never throws. Nothing else may run any more. */
  async finish(waiting: Waiting): Promise<void> {
    await this.#manifest?.finish(waiting);
  }

  async #files(waiting: Waiting): Promise<readonly ReplicaFile[] | undefined> {
    if (this.#levels !== undefined) return this.#levels.knownFiles(waiting);
    const { known, upkeepStore, layout } = this.#parts.link;
    if (!known.isLoaded) await known.load(() => listReplica(upkeepStore, layout, waiting));
    return known.isLoaded ? known.files : undefined;
  }
}
