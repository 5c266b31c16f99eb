// What stays in the state directory between runs: the page-checksum table, and staged files as long as the replica or
// the saved table still needs them.
import { hasCode, messageOf } from "../../core/base/errors.ts";
import type { HistoryHead } from "./history.ts";
import { loadChecksums, saveChecksums } from "./page-checksums-file.ts";
import type { ChecksumFileOptions } from "./page-checksums-file.ts";
import type { EngineParts } from "./parts.ts";
import { asideSuffix } from "./state-directory.ts";

/** Staged files that only the checksum table still needs, before it is saved. */
const maxHeldFiles = 256;
const maxHeldBytes = 64 << 20;

/** Staged bytes up to which files are kept for level 1, which is then merged without reading the replica. */
const maxHeldForLevelsBytes = 256 << 20;

export class StagingKeeper {
  readonly #parts: EngineParts;
  /** Staged files up to it are not needed to replay the saved table. */
  #savedThrough = 0n;
  /** The database checksum that the saved table proves. */
  #savedAfter = 0n;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /** The saved table is that of this TXID; 0 = none. */
  get savedThrough(): bigint {
    return this.#savedThrough;
  }

  /**
   * Puts the history where the newest staged file is, with its checksum table if that proves itself. Staged files that
   * are damaged go aside: what they held is still in the database, and is found by comparing.
   */
  async load(): Promise<void> {
    try {
      await this.#load();
    } catch (error) {
      if (!hasCode(error, "engine/state")) throw error;
      this.#parts.logger.log("error", "staging.damaged", { error: error.message });
      await setStagedAside(this.#parts);
      this.#parts.history.continueAfter(undefined, undefined);
    }
  }

  async #load(): Promise<void> {
    const { staging, history, codec } = this.#parts;
    if (staging.newest === undefined) return;
    const { proof, timestampMs } = await staging.readHeader(staging.newest);
    const table = await loadChecksums(staging, codec, this.#file);
    const head = { txid: staging.newest.txid, after: proof?.after ?? 0n, timestampMs };
    history.continueAfter(head, table?.pages);
    if (table?.savedAt === head.txid) this.#noteSaved(head);
  }

  /** Saves the table, if it is that of the newest staged file. */
  async save(): Promise<void> {
    const { history, staging } = this.#parts;
    const { head, table } = history;
    if (head === undefined || table === undefined || staging.newest?.txid !== head.txid) return;
    if (this.#savedThrough === head.txid && this.#savedAfter === head.after) return;
    await saveChecksums({ txid: head.txid, pages: table }, this.#file);
    this.#noteSaved(head);
  }

  #noteSaved({ txid, after }: HistoryHead): void {
    this.#savedThrough = txid;
    this.#savedAfter = after;
  }

  /** As `save`; without space or permission for this cache the engine goes on, and starts slower the next time. */
  async trySave(): Promise<void> {
    try {
      await this.save();
    } catch (error) {
      this.#parts.logger.log("warn", "checksums.not-saved", { error: messageOf(error) });
    }
  }

  /**
   * Drops staged files that the replica has, the saved table has passed and level 1 holds (`compactedThrough`). The
   * newest stays.
   */
  async tidy(ackedThrough: bigint, compactedThrough: bigint): Promise<void> {
    const { staging, limits } = this.#parts;
    const held = staging.files.filter(
      (file) => file.txid <= ackedThrough && file.txid > this.#savedThrough,
    );
    const heldBytes = held.reduce((sum, file) => sum + file.sizeBytes, 0);
    if (held.length >= maxHeldFiles || heldBytes >= maxHeldBytes) await this.trySave();
    const isRoomy =
      staging.sizeBytes <= Math.min(maxHeldForLevelsBytes, limits.maxStagingBytes / 2);
    const bounds = [this.#savedThrough, ...(isRoomy ? [compactedThrough] : [])];
    const through = bounds.reduce((least, one) => (one < least ? one : least), ackedThrough);
    const last = staging.files.findLast((file) => file.txid <= through);
    if (last !== undefined) await staging.removeThrough(last.txid);
  }

  /** Drops every staged file that the replica has. The saved table then fits nothing: the next start compares. */
  async makeRoom(ackedThrough: bigint): Promise<void> {
    const { staging } = this.#parts;
    const last = staging.files.findLast((file) => file.txid <= ackedThrough);
    if (last !== undefined) await staging.removeThrough(last.txid);
  }

  get #file(): ChecksumFileOptions {
    const { fileSystem, state } = this.#parts;
    return { fileSystem, stateDirectory: state.path, ownership: state.ownership };
  }
}

/** Our own staged files are no continuation of the replica; they are kept under another name. */
export async function setStagedAside({
  staging,
  clock,
  random,
  logger,
}: EngineParts): Promise<void> {
  if (staging.newest === undefined && staging.images.waiting === undefined) return;
  const to = await staging.setAside(asideSuffix(clock.nowMs(), random));
  logger.log("warn", "staging.set-aside", { to });
}
