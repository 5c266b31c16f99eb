// What an output gets that files do not lead on: the newest state of its replica, page by page where that is possible, and
// otherwise by way of a full image.
import type { Waiting } from "../../core/base/async.ts";
import { messageOf } from "../../core/base/errors.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { Environment } from "../restore/environment.ts";
import type { IntegrityCheck } from "../restore/sqlite-process.ts";
import type { ProvedChange } from "./collected-change.ts";
import { isFileFault } from "./common-state.ts";
import { fetchDifferences } from "./differences.ts";
import { faultyFileOf } from "./follow-errors.ts";
import { Image } from "./image.ts";
import type { NewFiles } from "./new-files.ts";
import type { HeldOutput, StrangeOutput } from "./recognize.ts";
import type { StateFile } from "./state-file.ts";

export interface HealingParts {
  readonly environment: Environment;
  readonly store: ObjectStore;
  readonly codec: Codec;
  readonly state: StateFile;
  readonly newFiles: NewFiles;
  /** Of the output: absolute, links resolved. */
  readonly path: string;
  readonly parallelism: number;
  readonly onBytes?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/** As logged. `forced`: it is not ours, and is to become so. */
export type HealReason =
  | "gap"
  | "new-image"
  | "history-changed"
  | "output-changed"
  | "state-lost"
  | "forced";

export interface HealOptions extends Waiting {
  /** Why the output cannot be continued. */
  readonly reason: HealReason | undefined;
  /** SQLite's own check, which needs a full image. */
  readonly integrityCheck: IntegrityCheck;
}

export class Healing {
  readonly #parts: HealingParts;

  constructor(parts: HealingParts) {
    this.#parts = parts;
  }

  /** The newest state as a full image. Throws as `Image.fetch`. */
  async image(waiting: Waiting): Promise<Image> {
    const { newFiles } = this.#parts;
    const newest = await newFiles.newest(waiting);
    try {
      return await Image.fetch(newest, { ...this.#parts, ...waiting });
    } catch (error) {
      this.avoidDamaged(error, newest.files);
      throw error;
    }
  }

  /** If an error is about one of these files, others that hold the same are taken from now on. */
  avoidDamaged(error: unknown, files: readonly ReplicaFile[]): void {
    const file = faultyFileOf(error, files);
    if (file !== undefined) this.#parts.newFiles.avoid(file);
  }

  /** What makes an output the newest state, in place whatever its page size: who has it open stays with it. Throws as `image`. */
  async changeOf(output: HeldOutput | StrangeOutput, options: HealOptions): Promise<ProvedChange> {
    const { integrityCheck, reason, signal } = options;
    // A new image matters where no file proves anything.
    const isByPages = integrityCheck === "none" && reason !== "new-image";
    const pages = isByPages ? await this.#differences(output, options) : undefined;
    if (pages !== undefined) return pages;
    await using stack = new AsyncDisposableStack();
    const image = stack.use(await this.image({ signal }));
    await image.check(integrityCheck, { signal });
    const held = stack.move();
    return {
      change: image.differences(output.checksums),
      target: image.target,
      descent: { base: 0n, changed: undefined },
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  }

  /** `undefined` where a full image has to do. */
  async #differences(
    output: HeldOutput | StrangeOutput,
    { reason, signal }: HealOptions,
  ): Promise<ProvedChange | undefined> {
    const { newFiles, state, environment, path } = this.#parts;
    const newest = await newFiles.newest({ signal });
    try {
      return await fetchDifferences(output, newest, {
        ...this.#parts,
        recent: state.recent.list(),
        isAnotherHistory: reason === "history-changed",
        list: (waiting) => newFiles.list(waiting),
        signal,
      });
    } catch (error) {
      if (!isFileFault(error)) throw error;
      environment.logger.log("warn", "follow.pages-failed", {
        path,
        code: error.code,
        error: messageOf(error),
      });
      this.avoidDamaged(error, newest.files);
      return undefined;
    }
  }
}
