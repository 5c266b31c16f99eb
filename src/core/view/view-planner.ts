// Plans a view and builds its map: from a listing, by the planner that restores use, so by TXID and never by level; again
// where files vanish in between.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import { type Logger, silentLogger } from "../base/log.ts";
import type { Codec } from "../codec/codec.ts";
import { formatTxid, toTxid } from "../ltx/txid.ts";
import { type ReplicaLayout, maxLevel } from "../replica/layout.ts";
import { type RestoreTarget, planRestore } from "../replica/plan.ts";
import { withHeaderTimes } from "../replica/timeline.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { FileTable, type ViewFile } from "./file-table.ts";
import { type BuiltMap, MapBuilder, type ProvedMap } from "./map-builder.ts";
import { PageProofs } from "./page-proofs.ts";
import { type ListViewFiles, type ViewSource, sourceOf } from "./view-files.ts";

/** Times in a row that files may vanish between a listing and the reading of their indexes. */
const maxAttempts = 4;

export interface ViewPlannerOptions {
  readonly store: ObjectStore;
  readonly layout: ReplicaLayout;
  readonly codec: Codec;
  /** Maps and cache in memory that other threads can read. */
  readonly isShared?: boolean | undefined;
  /** In place of listing the store. */
  readonly list?: ListViewFiles | undefined;
  readonly logger?: Logger | undefined;
}

export class ViewPlanner {
  /** Files that are not in the store yet, beside what it lists. */
  pushed: readonly ViewFile[] = [];
  readonly files = new FileTable();
  readonly proofs: PageProofs;
  readonly #store: ObjectStore;
  readonly #builder: MapBuilder;
  readonly #source: ViewSource;

  constructor(options: ViewPlannerOptions) {
    const { store, codec, layout, isShared = false, logger = silentLogger } = options;
    const { files } = this;
    this.proofs = new PageProofs({ store, codec, logger });
    this.#store = store;
    this.#builder = new MapBuilder({ store, codec, files, proofs: this.proofs, isShared });
    this.#source = sourceOf(store, layout, options.list);
  }

  /** Hot pages for the first map, which is yet to be built; see `ViewSource`. */
  hotBytes(waiting: Waiting): Promise<Uint8Array | undefined> {
    return this.#source.hotBytes(waiting);
  }

  /** The map of a target. Throws as `planRestore` and `MapBuilder.build`. */
  async build(target: RestoreTarget, { signal }: Waiting): Promise<BuiltMap> {
    return surviving(async () => {
      const files = [...(await this.#source.list({ signal })), ...this.pushed];
      const fileByKey = new Map(files.map((file) => [file.key, file]));
      const timed =
        target.kind === "time"
          ? await withHeaderTimes(this.#store, files, {
              beforeMs: target.beforeMs,
              isKnown: ({ key }) => fileByKey.get(key)?.inside !== undefined,
              signal,
            })
          : files;
      const plan = planRestore(timed, target).flatMap(({ key }) => fileByKey.get(key) ?? []);
      return this.#builder.build(plan, { signal });
    });
  }

  /**
   * The newest map, reached from `base` unless there is a newer full image; `undefined` if it is `base`. Throws
   * `view/history-changed` if the replica ends before it: going back is not for a reader that follows.
   */
  async extend(base: ProvedMap, waiting: Waiting): Promise<BuiltMap | undefined> {
    return surviving(async () => {
      let files = await this.#source.list(waiting);
      // A file that moves up a level meanwhile can be missed, but not twice.
      if (endsBefore(base, files)) files = await this.#source.list(waiting);
      if (endsBefore(base, files)) throw historyChanged(base);
      // The map stands for a full image that costs nothing. Without files there is nothing it could be the image of.
      const held = imageOf(base);
      const plan = planRestore(files.length === 0 ? [] : [held, ...files], { kind: "latest" });
      const [first, ...rest] = plan;
      if (first !== held) return this.#builder.build(plan, waiting);
      return rest.length === 0 ? undefined : this.#builder.build(rest, { base, ...waiting });
    });
  }

  /** Whether two maps of one TXID may be of two histories: by their proofs, or by a file that is another now. */
  isAnotherHistory(old: ProvedMap, built: ProvedMap): boolean {
    if (old.after !== 0n && built.after !== 0n) return old.after !== built.after;
    return this.files.isReplaced(old.map.files(), built.map.files());
  }

  /**
   * As `extend`, but of a store that lists the next files of level 0 are asked for by their names alone: what was merged
   * meanwhile, and a replica that was begun anew, is found by `extend`.
   */
  async extendByName(base: ProvedMap, waiting: Waiting): Promise<BuiltMap | undefined> {
    const next = this.#source.nextFiles(toTxid(base.map.txid), waiting);
    if (next === undefined) return this.extend(base, waiting);
    const files = await next;
    if (files.length === 0) return undefined;
    try {
      return await this.#builder.build(files, { base, ...waiting });
    } catch (error) {
      if (!hasCode(error, "store/changed")) throw error;
      return this.extend(base, waiting);
    }
  }

  /** The map after files that follow it one after the other. Throws `replica/proof` if they are of another history. */
  advance(base: ProvedMap, files: readonly ViewFile[], waiting: Waiting): Promise<BuiltMap> {
    return this.#builder.build(files, { base, ...waiting });
  }

  /** Forgets all files but these. */
  retain(numbers: ReadonlySet<number>): void {
    this.files.retain(numbers);
    this.proofs.retain(numbers);
    this.#builder.retain(numbers);
  }
}

/** Repeats work that begins with a listing for as long as files vanish under it. */
async function surviving<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!hasCode(error, "store/changed")) throw error;
      if (attempt === maxAttempts) throw staleListing(error);
    }
  }
}

function staleListing(error: HeadwaterError): HeadwaterError {
  return new HeadwaterError(
    "store/changed",
    `The replica does not hold what is listed: ${error.message} A listing, or a manifest, that is older than the replica is ` +
      "put right with the next upload: try again then.",
    { data: error.data, cause: error },
  );
}

/** Whether there are files and all of them end before the map. */
function endsBefore({ map }: ProvedMap, files: readonly ViewFile[]): boolean {
  return files.length > 0 && files.every(({ maxTxid }) => maxTxid < map.txid);
}

function historyChanged({ map }: ProvedMap): HeadwaterError {
  const { txid } = map;
  return new HeadwaterError(
    "view/history-changed",
    `The replica ends before TXID ${formatTxid(toTxid(txid))}, which was read from it: it was begun anew, or files were ` +
      "deleted. Open it again to read what is there now.",
    { data: { txid } },
  );
}

function imageOf({ map }: ProvedMap): ViewFile {
  const txids = { minTxid: toTxid(1), maxTxid: toTxid(map.txid) };
  const { timestampMs } = map;
  const listed = { timestampMs, isExactTime: true, sizeBytes: 0, key: "", etag: "" };
  return { level: maxLevel, ...txids, ...listed };
}
