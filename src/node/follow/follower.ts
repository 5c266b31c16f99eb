// Keeps one output at the newest TXID of a replica. Nothing is written into the output before the files it comes from are
// read whole and proved, and what is in memory counts only as long as all goes well: after any failure the output is
// looked at anew, as at the start of a process.
import type { Waiting } from "../../core/base/async.ts";
import { unreachable } from "../../core/base/assert.ts";
import { hasCode } from "../../core/base/errors.ts";
import type { LogFields } from "../../core/base/log.ts";
import { openCodec } from "../../core/codec/codec.ts";
import { type Txid, formatTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { ChainPoint } from "../../core/replica/chain-files.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { IntegrityCheck } from "../restore/sqlite-process.ts";
import type { Environment } from "../restore/environment.ts";
import { CollectedChange, type ProvedChange, positionOf } from "./collected-change.ts";
import { isAnotherHistory, stuckError, writtenToError } from "./follow-errors.ts";
import type { ResolvedFollowOptions } from "./follow-options.ts";
import { type HealOptions, Healing } from "./healing.ts";
import type { Image } from "./image.ts";
import { NewFiles, firstRun } from "./new-files.ts";
import {
  type OutputFile,
  isSameOutput,
  newChangeCounter,
  nextChangeCounter,
} from "./output-file.ts";
import type { PushedNews } from "./pushed-news.ts";
import { type HeldOutput, type Recognized, type StrangeOutput, recognize } from "./recognize.ts";
import type { StateFile } from "./state-file.ts";
import { writeTxidFile } from "./txid-file.ts";

/** What a step has done. `more`: look again at once. */
export type Step = "idle" | "applied" | "more";

export interface FollowerParts {
  readonly environment: Environment;
  readonly options: ResolvedFollowOptions;
  /** Of the output: absolute, links resolved. */
  readonly path: string;
  readonly store: ObjectStore;
  readonly state: StateFile;
  /** What the primary pushes. */
  readonly pushed?: PushedNews | undefined;
  readonly onBytes?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/** Where the output is, for those who ask. */
export interface FollowedPosition {
  readonly txid: Txid;
  readonly timestampMs: number;
  /** From the capture of the TXID until it was in the output; `undefined`: it was there when we started. */
  readonly lagMs: number | undefined;
}

interface BeginOptions extends Waiting {
  readonly force: boolean;
  readonly integrityCheck: IntegrityCheck;
}

export class Follower implements AsyncDisposable {
  readonly #parts: FollowerParts;
  readonly #newFiles: NewFiles;
  readonly #healing: Healing;
  readonly #codec = openCodec();
  /** Open from when the output is recognized until something goes wrong. */
  #file: OutputFile | undefined;
  /** What is known of it; `undefined`: it has to be looked at. */
  #held: HeldOutput | undefined;
  /** Why a recognized output is not to be continued. */
  #healReason: "history-changed" | undefined;
  #position: FollowedPosition | undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    const { clock } = parts.environment;
    const { intervalMs, parallelism } = parts.options;
    this.#newFiles = new NewFiles(parts.store, { clock, intervalMs, pushed: parts.pushed });
    this.#healing = new Healing({
      ...parts,
      codec: this.#codec,
      newFiles: this.#newFiles,
      parallelism,
    });
  }

  /** `undefined` until the output is known. */
  get position(): FollowedPosition | undefined {
    return this.#position;
  }

  /** The state that the next file has to continue; `undefined` while the output is not known. */
  get point(): ChainPoint | undefined {
    const held = this.#held;
    return held && { txid: held.position.txid, checksum: held.checksums.databaseChecksum };
  }

  /**
   * Makes the output if there is none. A database that is not ours becomes the newest state in place: who has it open stays with
   * it. One that is ours is recognized, and what has to be healed, or is locked, is left to the first step. Throws if there is
   * nothing to begin with.
   */
  async start({ isOurs, ...waiting }: Waiting & { readonly isOurs: boolean }): Promise<void> {
    const { force, integrityCheck } = this.#parts.options;
    let found: Recognized = "absent";
    try {
      if (isOurs || force) found = await this.#recognize(waiting);
    } catch (error) {
      if (isOurs && hasCode(error, "follow/blocked")) return;
      throw error;
    }
    if (found === "absent" || (found === "unreadable" && !isOurs)) {
      await this.#begin({ ...waiting, force, integrityCheck });
    } else if (found !== "unreadable" && !isOurs) {
      await this.#heal(found, { ...waiting, reason: "forced", integrityCheck });
    }
  }

  /** Looks for news once and applies what there is. After it has thrown, the next step looks at the output anew. */
  async step(waiting: Waiting): Promise<Step> {
    try {
      return await this.#step(waiting);
    } catch (error) {
      await this.#forget();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#forget();
  }

  async #step(waiting: Waiting): Promise<Step> {
    const output = (await this.#isUntouched()) ?? (await this.#recognize(waiting));
    if (output === "absent" || output === "unreadable") {
      this.#log("warn", "follow.healing", { reason: `output-${output}` });
      await this.#begin({ ...waiting, force: true, integrityCheck: "none" });
      return "more";
    }
    const reason = output.kind === "strange" ? output.reason : this.#healReason;
    if (output.kind === "strange" || reason !== undefined) {
      await this.#heal(output, { ...waiting, reason, integrityCheck: "none" });
      return "more";
    }
    const { databaseChecksum } = output.checksums;
    const found = await this.#newFiles.look({ ...output.position, databaseChecksum }, waiting);
    switch (found.kind) {
      case "nothing":
        return "idle";
      case "files": {
        const run = firstRun(found.files);
        await this.#advance(output, run, waiting);
        const isAll = this.#held !== undefined && run.length === found.files.length;
        return isAll && found.isListed ? "applied" : "more";
      }
      case "elsewhere":
        await this.#heal(output, { ...waiting, reason: found.reason, integrityCheck: "none" });
        return "more";
      case "stuck":
        throw stuckError(output.position.txid, found.head, this.#parts.store.url);
      default:
        return unreachable(found);
    }
  }

  /** The output as it is held, unless somebody has touched it since. */
  async #isUntouched(): Promise<HeldOutput | undefined> {
    const { environment, path } = this.#parts;
    const status = await environment.fileSystem.status(path);
    const held = this.#held;
    if (held === undefined || status === undefined) return undefined;
    return isSameOutput(held.identity, status) ? held : undefined;
  }

  async #recognize(waiting: Waiting): Promise<Recognized> {
    await this.#forget();
    const { path, environment, state } = this.#parts;
    const found = await recognize(path, { environment, codec: this.#codec, state, ...waiting });
    if (typeof found === "string") return found;
    this.#file = found.file;
    if (found.kind === "held") await this.#hold(found, undefined);
    return found;
  }

  /** Applies files that continue the output. */
  async #advance(
    { checksums, position, ...held }: HeldOutput,
    files: readonly ReplicaFile[],
    waiting: Waiting,
  ): Promise<void> {
    const { environment, options, path, store } = this.#parts;
    const { fileSystem } = environment;
    // From here on the table in memory may be anything.
    this.#held = undefined;
    try {
      const { parallelism } = options;
      const reading = { path, store, fileSystem, codec: this.#codec, parallelism, ...waiting };
      await using collected = await CollectedChange.of(files, { ...reading, position, checksums });
      await this.#apply(held, collected, waiting);
    } catch (error) {
      if (!isAnotherHistory(error, files, position.txid)) {
        this.#healing.avoidDamaged(error, files);
        throw error;
      }
      this.#healReason = "history-changed";
    }
  }

  /** Makes the output the newest state by writing what it has otherwise. */
  async #heal(output: HeldOutput | StrangeOutput, options: HealOptions): Promise<void> {
    this.#log("warn", "follow.healing", { reason: options.reason });
    // If that comes to nothing, the files tell once more.
    this.#healReason = undefined;
    await using healed = await this.#healing.changeOf(output, options);
    this.#held = undefined;
    await this.#apply(output, healed, options);
  }

  async #begin({ integrityCheck, ...options }: BeginOptions): Promise<void> {
    await using image = await this.#healing.image(options);
    await image.check(integrityCheck, options);
    await this.#install(image, options);
  }

  /** Puts a whole database in the output's place. */
  async #install(image: Image, options: Waiting & { readonly force: boolean }): Promise<void> {
    await this.#forget();
    const { random } = this.#parts.environment;
    const position = positionOf(image.target, newChangeCounter(random, 0));
    await image.patch(position.changeCounter);
    // Before the output is there: without its state it would be nobody's.
    this.#parts.state.replace(position, image.target.state);
    await image.publish(options);
    const found = await this.#recognize(options);
    if (typeof found === "string" || found.kind === "strange") {
      throw writtenToError(this.#parts.path);
    }
    const fields = { pages: found.checksums.commit, size: found.identity.sizeBytes };
    await this.#hold(found, { event: "follow.installed", fields });
  }

  /** Writes a change into the output, in one transaction. */
  async #apply(
    { kind, file, identity }: Pick<HeldOutput | StrangeOutput, "kind" | "file" | "identity">,
    { change, target, descent }: ProvedChange,
    waiting: Waiting,
  ): Promise<void> {
    const { clock, random } = this.#parts.environment;
    const startedMs = clock.monotonicMs();
    let held: HeldOutput;
    {
      using _ = await file.lock(waiting);
      // If somebody wrote while we waited, the next step finds out what.
      if (!isSameOutput(await file.identity(), identity)) return;
      const { changeCounter: old } = await file.header();
      const changeCounter =
        kind === "held" ? nextChangeCounter(old) : newChangeCounter(random, old);
      const position = positionOf(target, changeCounter);
      const changed = change.pgnos;
      // Of a strange output the checksums that are noted may all be others.
      const keep = kind === "held" ? change.keep : 0;
      this.#parts.state.begin(position, target.state, { changed, keep, descent });
      await file.write(change, position.changeCounter);
      held = {
        kind: "held",
        file,
        position,
        identity: await file.identity(),
        checksums: target.state.checksums,
      };
    }
    this.#parts.state.settle(held.identity);
    const fields = {
      pages: change.pgnos.length,
      size: held.identity.sizeBytes,
      duration_ms: Math.round(clock.monotonicMs() - startedMs),
    };
    await this.#hold(held, { event: "follow.applied", fields });
  }

  /** Goes on from an output that is what it has to be. `news`: we have just made it so. */
  async #hold(
    held: HeldOutput,
    news: { readonly event: string; readonly fields: LogFields } | undefined,
  ): Promise<void> {
    const { environment, path } = this.#parts;
    const { txid, timestampMs } = held.position;
    await writeTxidFile(environment.fileSystem, path, txid);
    this.#held = held;
    const lagMs = news && Math.max(0, Math.round(environment.clock.nowMs() - timestampMs));
    this.#position = { txid, timestampMs, lagMs };
    if (news === undefined) return;
    this.#log("info", news.event, { txid: formatTxid(txid), ...news.fields, lag_ms: lagMs });
  }

  async #forget(): Promise<void> {
    this.#held = undefined;
    const file = this.#file;
    this.#file = undefined;
    await file?.[Symbol.asyncDispose]();
  }

  #log(level: "info" | "warn", event: string, fields: LogFields): void {
    const { environment, path } = this.#parts;
    environment.logger.log(level, event, { path, ...fields });
  }
}
