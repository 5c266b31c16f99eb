// Local copies of a replica's database, left and right: one can be read while the other is written. The change to the next
// TXID goes into the copy that nobody reads; when it is whole, proved and on disk, that one is the newest, and the other
// takes its place as soon as its readers are gone. At every moment one of the two is whole, so nothing that happens in
// between has to be undone: a copy that was being written is thrown away.
import { dirname } from "node:path";
import { must } from "../../core/base/assert.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { CollectedChange, type Target, positionOf } from "../follow/collected-change.ts";
import { isAnotherHistory } from "../follow/follow-errors.ts";
import { Image } from "../follow/image.ts";
import { type NewestState, firstRun } from "../follow/new-files.ts";
import { type OutputIdentity, newChangeCounter, nextChangeCounter } from "../follow/output-file.ts";
import type { PageChange } from "../follow/page-change.ts";
import type { Position, StateFile } from "../follow/state-file.ts";
import { writePages } from "../follow/transaction.ts";
import type { Environment } from "../restore/environment.ts";
import { appliedFile, planCopy } from "./copy-plan.ts";
import { type FoundCopy, recognizeCopy, slotsOf } from "./recognize-copy.ts";
import { isOfThisReplica } from "./same-history.ts";

const cloneChunkBytes = 1024 * 1024;

/** Requests to the store at once while a copy is made; each holds at most 8 MiB of memory. */
const parallelism = 8;

/** A whole, proved database that can be read for as long as it is held. */
export interface Copy {
  readonly path: string;
  readonly txid: Txid;
}

export interface LocalCopiesParts {
  readonly environment: Environment;
  readonly store: ObjectStore;
  readonly codec: Codec;
  /** Of the left copy: absolute, links resolved. */
  readonly path: string;
  /** Held by us alone. */
  readonly state: StateFile;
  /**
   * Resolves when no reader has the file at a path open; `false` if one has and will not let go, so that another file must
   * take its place.
   */
  readonly whenFree: (path: string, waiting: Waiting) => Promise<boolean>;
  /** There is another newest copy: readers are to go over to it, for the next one takes the place of theirs. */
  readonly onNewest: () => void;
}

/** The other copy: what the newest one was before its newest change. */
interface IdleCopy {
  readonly path: string;
  readonly missing: Pick<PageChange, "pgnos" | "keep" | "commit" | "pageSize">;
}

export class LocalCopies {
  readonly #parts: LocalCopiesParts;
  /** What is known of the newest copy; `undefined`: it has to be looked at. */
  #held: FoundCopy | undefined;
  #idle: IdleCopy | undefined;
  /** A copy that an earlier process has left may be of a replica that was begun anew since. */
  #isVerified = false;
  #newest: Copy | undefined;

  constructor(parts: LocalCopiesParts) {
    this.#parts = parts;
  }

  /** The newest copy. It stays what it is until another is the newest and its readers are gone. */
  get newest(): Copy | undefined {
    return this.#newest;
  }

  /**
   * Makes a copy at `target`, from the one there is if that can be. Throws what is wrong with the files, or what
   * `planCopy` throws; the newest copy is then what it was, or one between the two.
   */
  async bringTo(target: Txid, waiting: Waiting): Promise<void> {
    try {
      this.#held ??= await recognizeCopy(this.#parts);
      await this.#bringTo(target, waiting);
    } catch (error) {
      // The checksums in memory may be anything, and so may be the copy that was being written.
      this.#held = undefined;
      this.#idle = undefined;
      throw error;
    }
  }

  async #bringTo(target: Txid, waiting: Waiting): Promise<void> {
    const { store } = this.#parts;
    const plan = await planCopy(store, { at: this.#held?.position, target, ...waiting });
    if (plan.kind === "image") {
      if (plan.reason !== "new") this.#log("hydrate.rebuilding", { reason: plan.reason });
      await this.#install(plan.state, waiting);
      return;
    }
    for (let files = plan.files; files.length > 0;) {
      const run = firstRun(files);
      if (!(await this.#advance(run, waiting))) return this.#rebuild(target, waiting);
      files = files.slice(run.length);
    }
    const held = must(this.#held, "copy that was continued");
    const isSame = plan.isSame || (plan.files.length > 0 && held.position.isProved);
    const { position, checksums } = held;
    const { databaseChecksum } = checksums;
    this.#isVerified ||=
      isSame || (await isOfThisReplica(store, position.txid, { databaseChecksum, ...waiting }));
    if (!this.#isVerified) return this.#rebuild(target, waiting);
    this.#show(held);
  }

  async #rebuild(target: Txid, waiting: Waiting): Promise<void> {
    this.#log("hydrate.rebuilding", { reason: "history-changed" });
    const plan = await planCopy(this.#parts.store, { at: undefined, target, ...waiting });
    if (plan.kind === "image") await this.#install(plan.state, waiting);
  }

  /** Downloads a whole copy and puts it where nobody reads. */
  async #install(state: NewestState, waiting: Waiting): Promise<void> {
    const { environment, store, codec, state: stateFile } = this.#parts;
    const path = this.#freePath();
    const counter = this.#held?.position.changeCounter ?? 0;
    const options = { environment, store, codec, path, parallelism, ...waiting };
    await using image = await Image.fetch(state, options);
    const { target } = image;
    const position = this.#positionOf(target, newChangeCounter(environment.random, counter));
    await image.patch(position.changeCounter);
    this.#held = undefined;
    this.#idle = undefined;
    // Before it has its name: without a note of it, it would be nobody's.
    stateFile.replace(position, target.state);
    // Whoever still reads a file of that name goes on with the old one.
    await image.publish({ force: true, ...waiting });
    const status = must(await environment.fileSystem.status(path), "file that was put in place");
    stateFile.recognize(status);
    this.#isVerified = true;
    this.#held = { path, position, checksums: target.state.checksums };
    this.#show(this.#held);
  }

  /** Applies files that continue the newest copy. `false`: they are of another history. */
  async #advance(files: readonly ReplicaFile[], waiting: Waiting): Promise<boolean> {
    const { environment, store, codec, path, state } = this.#parts;
    const { fileSystem } = environment;
    const from = must(this.#held, "copy to be continued");
    const { position, checksums } = from;
    let collected: CollectedChange;
    try {
      const reading = { fileSystem, store, codec, path, parallelism, ...waiting };
      collected = await CollectedChange.of(files, { ...reading, position, checksums });
    } catch (error) {
      if (isAnotherHistory(error, files, position.txid)) return false;
      throw error;
    }
    await using _ = collected;
    const { change, target, descent } = collected;
    const next = this.#positionOf(target, nextChangeCounter(position.changeCounter));
    const to = this.#freePath();
    const isReusable = await this.#parts.whenFree(to, waiting);
    const idle = isReusable && this.#idle?.path === to ? this.#idle : undefined;
    this.#idle = undefined;
    // Durable before the file is touched, which until now may be the one that the state speaks of on disk.
    state.begin(next, target.state, { changed: change.pgnos, keep: change.keep, descent });
    state.settle(await this.#write({ from: from.path, to, idle }, change, next.changeCounter));
    this.#idle = { path: from.path, missing: change };
    this.#held = { path: to, position: next, checksums: target.state.checksums };
    if (this.#isVerified) this.#show(this.#held);
    return true;
  }

  /** Makes the file at `to` what the one at `from` is after a change. */
  async #write(
    { from, to, idle }: { from: string; to: string; idle: IdleCopy | undefined },
    change: PageChange,
    changeCounter: number,
  ): Promise<OutputIdentity> {
    const { fileSystem } = this.#parts.environment;
    await using source = await fileSystem.open(from, "read");
    if (idle === undefined) await fileSystem.unlink(to);
    await using file = await fileSystem.open(to, idle === undefined ? "create-new" : "update");
    if (idle === undefined) await clone(source, file);
    else {
      const { pageSize } = idle.missing;
      const offsetOf = (pgno: number): number => (pgno - 1) * pageSize;
      await writePages(file, { ...idle.missing, source, offsetOf }, changeCounter);
    }
    await writePages(file, change, changeCounter);
    await file.sync();
    if (idle === undefined) await fileSystem.syncDirectory(dirname(to));
    return await file.status();
  }

  #positionOf(target: Target, changeCounter: number): Position {
    const file = appliedFile(this.#parts.store, target.newest);
    return { ...positionOf(target, changeCounter), file };
  }

  /** Where the next copy goes: the newest one stays where it is. */
  #freePath(): string {
    const [left, right] = slotsOf(this.#parts.path);
    const newest = this.#held?.path ?? this.#newest?.path ?? right;
    return newest === left ? right : left;
  }

  #show({ path, position: { txid } }: FoundCopy): void {
    if (this.#newest?.path === path && this.#newest.txid === txid) return;
    this.#newest = { path, txid };
    this.#parts.onNewest();
  }

  #log(event: string, fields: { readonly reason: string }): void {
    const { environment, path } = this.#parts;
    environment.logger.log("info", event, { path, ...fields });
  }
}

async function clone(source: OpenFile, to: OpenFile): Promise<void> {
  const buffer = new Uint8Array(cloneChunkBytes);
  for (let at = 0; ;) {
    const count = await source.read(buffer, at);
    if (count === 0) return;
    await to.write(buffer.subarray(0, count), at);
    at += count;
  }
}
