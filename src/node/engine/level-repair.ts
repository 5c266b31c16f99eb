// Damage in the levels of one replica: files that are no longer what was put, or no longer there. What other files still hold
// is put in their place, after every byte of it has been read; where nothing holds it, a full image sees to it that
// everything after it can be restored. Until then nothing is compacted from such a file, nor deleted because of it.
import { must } from "../../core/base/assert.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { proveInputs } from "../../core/replica/compact.ts";
import type { CompactionPlan } from "../../core/replica/plan-compaction.ts";
import { verifyCompacted } from "../../core/replica/verify-compacted.ts";
import { maxLevel } from "../../core/replica/layout.ts";
import { faultyKey, inspectFile, planRebuild } from "../../core/replica/repair.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

export interface RepairHooks {
  /** Carries out a plan; `replaces` is the etag of the damaged object of that name. */
  readonly make: (
    plan: CompactionPlan,
    options: Waiting & { readonly replaces: string | undefined },
  ) => Promise<ReplicaFile>;
  /** Puts a full image of the newest TXID. */
  readonly putSnapshot: (waiting: Waiting) => Promise<void>;
  /** The bytes of a level-0 file that still lies here. */
  readonly localBody: (file: ReplicaFile) => ObjectBody | undefined;
}

export class LevelRepair {
  readonly #parts: ReplicaParts;
  readonly #hooks: RepairHooks;
  /** Files of levels 1 to 8 as they were made or last listed. */
  readonly #seen = new Map<string, ReplicaFile>();
  /** Those that were made by this process or read in whole, by key and etag. */
  readonly #proved = new Set<string>();
  readonly #suspects = new Map<string, ReplicaFile>();
  readonly #lost = new Map<string, ReplicaFile>();
  #repairedFiles = 0;

  constructor(parts: ReplicaParts, hooks: RepairHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
  }

  /** Files made anew by this process. */
  get repairedFiles(): number {
    return this.#repairedFiles;
  }

  /** Files known to be damaged that nothing else replaces. */
  get lostFiles(): number {
    return this.#lost.size;
  }

  /** There is something to look into. */
  get isPending(): boolean {
    return this.#suspects.size > 0;
  }

  /** Without those that must not be built upon. */
  usable(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
    return files.filter(({ key }) => !this.#suspects.has(key) && !this.#lost.has(key));
  }

  /** A file of levels 1 to 8 that was put and looked at. */
  noteMade(file: ReplicaFile): void {
    this.#seen.set(file.key, file);
    this.#proved.add(versionOf(file));
  }

  /** Files that were deleted on purpose. */
  noteDeleted(files: readonly ReplicaFile[]): void {
    for (const file of files) {
      this.#seen.delete(file.key);
      this.#proved.delete(versionOf(file));
      this.#suspects.delete(file.key);
      this.#lost.delete(file.key);
    }
  }

  /** Compares a new listing with what was there: what has changed or vanished is looked into. */
  noteListing(files: readonly ReplicaFile[]): void {
    const levels = files.filter(({ level }) => level > 0 && level < maxLevel);
    const byKey = new Map(levels.map((file) => [file.key, file]));
    for (const [key, seen] of this.#seen) {
      const file = byKey.get(key);
      if (file?.etag === seen.etag && file.sizeBytes === seen.sizeBytes) continue;
      this.#seen.delete(key);
      // What is lost stays lost, until somebody puts another object there or takes it away.
      const lost = this.#lost.get(key);
      if (lost !== undefined && lost.etag === file?.etag) continue;
      this.#lost.delete(key);
      this.#suspects.set(key, file ?? seen);
    }
    for (const file of levels) this.#seen.set(file.key, file);
  }

  /** What went wrong may be a file's fault. */
  noteFault(error: unknown): void {
    const key = faultyKey(error);
    const file = this.#parts.link.known.files.find((one) => one.key === key);
    if (file !== undefined && file.level < maxLevel && !this.#lost.has(file.key)) {
      this.#suspects.set(file.key, file);
    }
  }

  isProved(file: ReplicaFile): boolean {
    return this.#proved.has(versionOf(file));
  }

  /** Reads a file of levels 1 to 8 in whole; `false` if it has to be repaired first. Throws what the store throws. */
  async prove(file: ReplicaFile, waiting: Waiting): Promise<boolean> {
    if (this.isProved(file)) return true;
    const { link } = this.#parts;
    if ((await this.#inspect(file, waiting)) !== "sound") {
      this.#suspects.set(file.key, file);
      return false;
    }
    const before = link.known.files.find(
      ({ level, maxTxid }) => level === file.level && maxTxid === file.minTxid - 1n,
    );
    await verifyCompacted(file, before, {
      store: link.upkeepStore,
      layout: link.layout,
      ...waiting,
    });
    this.#proved.add(versionOf(file));
    return true;
  }

  /** Looks into everything suspected. Throws what the store throws; called again, it goes on. */
  async run(waiting: Waiting): Promise<void> {
    while (this.#suspects.size > 0) {
      const lowestFirst = [...this.#suspects.values()].toSorted((a, b) => a.level - b.level);
      const file = must(lowestFirst[0], "a suspect");
      const state = await this.#inspect(file, waiting);
      if (state !== "sound") await this.#mend(file, state, waiting);
      this.#suspects.delete(file.key);
    }
  }

  #inspect(file: ReplicaFile, waiting: Waiting): ReturnType<typeof inspectFile> {
    const { link, codec } = this.#parts;
    return inspectFile(file, { store: link.upkeepStore, codec, ...waiting });
  }

  async #mend(file: ReplicaFile, state: "damaged" | "gone", { signal }: Waiting): Promise<void> {
    const { link, logger } = this.#parts;
    if (state === "gone") link.known.remove([file]);
    const plans = file.level === 0 ? undefined : await this.#provedPlans(file, { signal });
    if (plans === undefined) {
      await this.#cover(file, state, { signal });
      return;
    }
    await link.lease.hold({ signal });
    let isReplaced = false;
    for (const plan of plans) {
      const isSameName = plans.length === 1;
      const replaces = isSameName && state === "damaged" ? file.etag : undefined;
      const made = await this.#hooks.make(plan, { replaces, signal });
      // The store has had one file go bad: this one is read back before anything relies on it.
      if ((await this.#inspect(made, { signal })) !== "sound") this.#suspects.set(made.key, made);
      isReplaced ||= made.key === file.key;
    }
    if (state === "damaged" && !isReplaced) {
      await link.upkeepStore.delete([file.key], { signal });
      link.known.remove([file]);
    }
    this.#repairedFiles++;
    logger.log("warn", "level.repaired", {
      ...fieldsOf(file, state),
      files: plans.reduce((sum, { inputs }) => sum + inputs.length, 0),
    });
  }

  /** Plans whose inputs have all been read in whole. */
  async #provedPlans(
    file: ReplicaFile,
    { signal }: Waiting,
  ): Promise<readonly CompactionPlan[] | undefined> {
    const { link, codec } = this.#parts;
    const { upkeepStore: store, layout } = link;
    const unsound = new Set<string>();
    for (;;) {
      const files = this.usable(link.known.files).filter(({ key }) => !unsound.has(key));
      const plans = planRebuild(files, file);
      if (plans === undefined) return undefined;
      try {
        const { localBody } = this.#hooks;
        for (const plan of plans) {
          await proveInputs(plan, { store, layout, codec, localBody, signal });
        }
        return plans;
      } catch (error) {
        const key = faultyKey(error);
        if (key === undefined || unsound.has(key)) throw error;
        unsound.add(key);
        this.noteFault(error);
      }
    }
  }

  /** Nothing holds all that the file held. */
  async #cover(file: ReplicaFile, state: "damaged" | "gone", { signal }: Waiting): Promise<void> {
    const { link, logger } = this.#parts;
    const others = this.usable(link.known.files).filter(({ key }) => key !== file.key);
    const isHeld = others.some(
      ({ level, minTxid, maxTxid }) =>
        level < maxLevel && minTxid <= file.minTxid && maxTxid >= file.maxTxid,
    );
    const hasImage = others.some(
      ({ level, maxTxid }) => level === maxLevel && maxTxid >= file.maxTxid,
    );
    const isOldest = !others.some(
      ({ level, minTxid }) => level === file.level && minTxid < file.minTxid,
    );
    // Nothing is missing; or somebody has pruned the replica, and the history before that image is to be gone.
    if (state === "gone" && (isHeld || (isOldest && hasImage))) return;
    // A restore would take the damaged file. It begins at the newest image, so one after it keeps it out.
    if (!hasImage) await this.#hooks.putSnapshot({ signal });
    if (state === "damaged") this.#lost.set(file.key, file);
    logger.log("error", "level.lost", {
      ...fieldsOf(file, state),
      hint: "restore points between these TXIDs may be lost; a full image holds everything after them",
    });
  }
}

function versionOf({ key, etag, sizeBytes }: ReplicaFile): string {
  return `${key} ${etag} ${sizeBytes}`;
}

function fieldsOf(
  { key, minTxid, maxTxid }: ReplicaFile,
  was: "damaged" | "gone",
): Readonly<Record<string, string>> {
  return { key, was, minTxid: formatTxid(minTxid), maxTxid: formatTxid(maxTxid) };
}
