// Keeps a local copy at the TXID that an open replica is at, in the background. What fails is told once and tried again:
// until it succeeds, queries do without.
import { dirname } from "node:path";
import { type Waiting, backoffMs } from "../../core/base/async.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import { openCodec } from "../../core/codec/codec.ts";
import { type Txid, formatTxid } from "../../core/ltx/txid.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { StateFile } from "../follow/state-file.ts";
import type { Environment } from "../restore/environment.ts";
import { nameOutput } from "../restore/output.ts";
import { type Copy, LocalCopies, type LocalCopiesParts } from "./local-copies.ts";
import { slotsOf } from "./recognize-copy.ts";

const failureBackoff = { firstMs: 1000, maxMs: 60_000 };
/** For what may be there soon. */
const passingBackoff = { firstMs: 1000, maxMs: 5000 };

/** What the files of a replica may do between a listing and the reading: they are merged into others. */
const passingCodes = ["replica/gap", "replica/unreachable-txid", "store/changed"] as const;
/** Times in a row that this is looked into at once. */
const maxPassing = 3;

/** What is noted of the copies lies in a file beside them. */
export function copyStateOf(path: string): string {
  return `${path}-hydrate`;
}

/** Who reads the copies. */
export interface CopyReaders {
  /** Whether the file at a path is open. */
  holds(path: string): boolean;
  /** As `LocalCopiesParts.whenFree`. */
  whenFree(path: string, waiting: Waiting): Promise<boolean>;
}

export interface HydratorOptions {
  readonly environment: Environment;
  readonly store: ObjectStore;
  readonly path: string;
  /** The TXID to be at. */
  readonly target: () => Txid;
  /** Looks whether there is a newer target. */
  readonly refresh: (waiting: Waiting) => Promise<unknown>;
  readonly readers: CopyReaders;
  /** There is another copy, or none to be waited for. */
  readonly onChange: () => void;
}

export class Hydrator implements AsyncDisposable {
  readonly #options: HydratorOptions;
  readonly #copies: LocalCopies;
  readonly #state: StateFile;
  readonly #path: string;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #isWorking = true;
  /** By a reader that stays. */
  #isBlocked = false;
  #rested = Promise.withResolvers<void>();
  #woken = Promise.withResolvers<void>();
  /** Code or text; `undefined`: all is well. */
  #lastFailure: string | undefined;

  private constructor(options: HydratorOptions, path: string, state: StateFile) {
    this.#options = options;
    this.#path = path;
    this.#state = state;
    const { environment, store, onChange: onNewest } = options;
    const whenFree: LocalCopiesParts["whenFree"] = (copyPath, waiting) =>
      this.#whenFree(copyPath, waiting);
    const codec = openCodec();
    this.#copies = new LocalCopies({ environment, store, codec, path, state, whenFree, onNewest });
    this.#running = this.#run();
  }

  /**
   * Begins. Throws `query/hydrate` where there is a file that is no copy of ours, `follow/locked` where another process is
   * at work, `restore/output` where no file can be made.
   */
  static async start(options: HydratorOptions): Promise<Hydrator> {
    const { fileSystem, random } = options.environment;
    const { path } = await nameOutput(options.path, random);
    const isNoted = (await fileSystem.status(copyStateOf(path))) !== undefined;
    if (!isNoted) await refuseForeign(fileSystem, path);
    await fileSystem.makeDirectory(dirname(path));
    using opened = new DisposableStack();
    const state = opened.use(StateFile.open(copyStateOf(path)));
    if (!state.isUsed) {
      opened.defer(() => state.remove());
      await refuseForeign(fileSystem, path);
    }
    opened.move();
    return new Hydrator(options, path, state);
  }

  /** The newest copy that there is. */
  get newest(): Copy | undefined {
    return this.#copies.newest;
  }

  /** False once the newest copy is at the target, or cannot be brought there for now. */
  get isWorking(): boolean {
    return this.#isWorking;
  }

  /** The target has changed. */
  wake(): void {
    if (!this.#isBlocked && this.#lastFailure === undefined) this.#work();
    this.#woken.resolve();
  }

  /** Resolves when it is not working. */
  async rested(): Promise<void> {
    if (this.#isWorking) await this.#rested.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#woken.resolve();
    await this.#running;
    this.#rested.resolve();
    this.#state[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    let passing = 0;
    while (!signal.aborted) {
      const target = this.#options.target();
      this.#woken = Promise.withResolvers();
      if (this.#copies.newest?.txid === target) {
        this.#rest();
        await this.#woken.promise;
        continue;
      }
      try {
        await this.#bringTo(target);
        failures = 0;
        passing = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (hasCode(error, ...passingCodes) && ++passing <= maxPassing) {
          await this.#refresh();
        } else {
          passing = 0;
          await this.#failed(error, ++failures);
        }
      }
    }
  }

  async #bringTo(target: Txid): Promise<void> {
    const { clock, logger } = this.#options.environment;
    const { signal } = this.#stop;
    const startedMs = clock.monotonicMs();
    const isFirst = this.#copies.newest === undefined;
    if (this.#lastFailure === undefined) this.#work();
    await this.#copies.bringTo(target, { signal });
    this.#lastFailure = undefined;
    logger.log(isFirst ? "info" : "debug", "hydrate.ready", {
      path: this.#path,
      txid: formatTxid(target),
      duration_ms: Math.round(clock.monotonicMs() - startedMs),
    });
  }

  /** A transaction may last: until its end there is nothing to be waited for. */
  async #whenFree(path: string, waiting: Waiting): Promise<boolean> {
    const { readers } = this.#options;
    this.#isBlocked = readers.holds(path);
    if (this.#isBlocked) this.#rest();
    const isFree = await readers.whenFree(path, waiting);
    this.#isBlocked = false;
    if (this.#lastFailure === undefined) this.#work();
    return isFree;
  }

  /** The files may have been merged, also across the target: then there is another. */
  async #refresh(): Promise<void> {
    try {
      await this.#options.refresh({ signal: this.#stop.signal });
    } catch {
      // Whoever follows the replica tells of it.
    }
  }

  async #failed(cause: unknown, failures: number): Promise<void> {
    const { clock, logger, random } = this.#options.environment;
    const backoff = hasCode(cause, ...passingCodes) ? passingBackoff : failureBackoff;
    const retryMs = Math.round(backoffMs(failures, backoff, random));
    const error = messageOf(cause);
    const code = cause instanceof HeadwaterError ? cause.code : undefined;
    if ((code ?? error) !== this.#lastFailure) {
      const level = code === undefined ? "error" : "warn";
      logger.log(level, "hydrate.failed", { path: this.#path, code, error });
    }
    this.#lastFailure = code ?? error;
    this.#rest();
    // Aborted: the loop ends.
    await clock.sleep(retryMs, { signal: this.#stop.signal }).catch(() => undefined);
  }

  #work(): void {
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#rested = Promise.withResolvers();
  }

  #rest(): void {
    if (!this.#isWorking) return;
    this.#isWorking = false;
    this.#rested.resolve();
    this.#options.onChange();
  }
}

/** Throws `query/hydrate` if there is a file in the place of a copy, or SQLite's files of one. */
async function refuseForeign(fileSystem: FileSystem, path: string): Promise<void> {
  for (const slot of slotsOf(path)) {
    for (const suffix of ["", "-wal", "-journal"]) {
      const status = await fileSystem.status(slot + suffix);
      const isEmpty = status?.kind === "file" && status.sizeBytes === 0;
      if (status === undefined || (isEmpty && suffix === "")) continue;
      throw new HeadwaterError(
        "query/hydrate",
        `${slot + suffix} exists and is no copy that Headwater has made: it is left as it is. Choose another path to ` +
          "hydrate into, or move the file away if it is not needed.",
        { data: { path: slot + suffix } },
      );
    }
  }
}
