// A follower at work: whose the output is, then one step after the other until it is stopped. It gives up on nothing: what
// fails is logged and tried again, and the output stays the newest state that was proved.
import { dirname } from "node:path";
import { type Waiting, backoffMs } from "../../core/base/async.ts";
import { Wake } from "../../core/base/wake.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import { openCodec } from "../../core/codec/codec.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { litestreamStateOf } from "../engine/litestream-beside.ts";
import { stateDirectoryOf } from "../engine/state-directory.ts";
import type { Environment } from "../restore/environment.ts";
import { checkOutput, nameOutput } from "../restore/output.ts";
import type { FollowStatus, ResolvedFollowOptions } from "./follow-options.ts";
import { replicatedError } from "./follow-errors.ts";
import { Follower } from "./follower.ts";
import { PushedNews, type PushedNewsOptions } from "./pushed-news.ts";
import { StateFile, stateFileOf } from "./state-file.ts";
import { txidFileOf } from "./txid-file.ts";

/** With no news for so many looks, each pause is longer than the one before, up to so many intervals. */
const idle = Object.freeze({ looks: 10, growth: 1.5, maxIntervals: 10 });
const failureBackoff = { firstMs: 1000, maxMs: 60_000 };

export interface StartFollowerOptions extends Waiting {
  /** Progress of the first download, and of those that heal. */
  readonly onBytes?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  /** Whenever a look at the replica has ended. */
  readonly onStatus?: ((status: FollowStatus) => void) | undefined;
}

/**
 * Resolves when the output is there: made, or found to be followed already. Throws what keeps it from being made, such as
 * `replica/empty`, `restore/output-exists` for a database that is not ours, `follow/replicated` and `follow/locked`. Dispose it to stop.
 */
export async function startFollower(
  options: ResolvedFollowOptions,
  environment: Environment,
  { signal, onBytes, onStatus }: StartFollowerOptions,
): Promise<RunningFollower> {
  const { fileSystem } = environment;
  const { path } = await nameOutput(options.output, environment.random);
  await refuseReplicated(fileSystem, path);
  await using stack = new AsyncDisposableStack();
  if (!(await hasTraces(environment, path))) {
    await checkOutput(fileSystem, { path, temporaryPath: "" }, options);
    await fileSystem.makeDirectory(dirname(path));
  }
  const state = stack.use(StateFile.open(stateFileOf(path)));
  const isOurs = state.isUsed || (await fileSystem.status(txidFileOf(path))) !== undefined;
  if (!isOurs) stack.defer(() => (state.isUsed ? undefined : state.remove()));
  if (!isOurs) await checkOutput(fileSystem, { path, temporaryPath: "" }, options);
  const { url, secrets } = options;
  const opened: ObjectStore = stack.use(await environment.openReplica(url, { signal, secrets }));
  const news = new Wake();
  const pushed = pushedTo(options, environment, {
    at: () => follower.point,
    onNews: () => news.wake(),
  });
  const store = pushed?.over(opened) ?? opened;
  const parts = { environment, options, path, store, state, pushed, onBytes };
  const follower = stack.use(new Follower(parts));
  await follower.start({ isOurs, signal });
  if (pushed !== undefined) stack.use(pushed).start();
  const txid = follower.position && formatTxid(follower.position.txid);
  environment.logger.log("info", "follow.started", { path, txid, replica: store.url });
  return new RunningFollower(
    environment,
    { options, path, follower, news, onStatus },
    stack.move(),
  );
}

/** `undefined`: the store alone is followed. */
function pushedTo(
  { push: url, pushToken: token }: ResolvedFollowOptions,
  environment: Environment,
  hooks: Pick<PushedNewsOptions, "at" | "onNews">,
): PushedNews | undefined {
  if (url === undefined) return undefined;
  return new PushedNews({ url, token, codec: openCodec(), environment, ...hooks });
}

/** A database that was a copy once may be somebody's primary by now: to go on would overwrite what was written since. */
async function refuseReplicated(fileSystem: FileSystem, path: string): Promise<void> {
  for (const directory of [stateDirectoryOf(path), litestreamStateOf(path)]) {
    if ((await fileSystem.status(directory)) !== undefined) throw replicatedError(path, directory);
  }
}

/** Whether something says that the output is followed. */
async function hasTraces({ fileSystem }: Environment, path: string): Promise<boolean> {
  for (const trace of [stateFileOf(path), txidFileOf(path)]) {
    if ((await fileSystem.status(trace)) !== undefined) return true;
  }
  return false;
}

interface RunningParts {
  readonly options: ResolvedFollowOptions;
  readonly path: string;
  readonly follower: Follower;
  /** Ends a pause. */
  readonly news: Wake;
  readonly onStatus: StartFollowerOptions["onStatus"];
}

export class RunningFollower implements AsyncDisposable {
  readonly #environment: Environment;
  readonly #parts: RunningParts;
  readonly #opened: AsyncDisposable;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #upToDateAtMs: number | undefined;
  #lastError: string | undefined;

  constructor(environment: Environment, parts: RunningParts, opened: AsyncDisposable) {
    this.#environment = environment;
    this.#parts = parts;
    this.#opened = opened;
    this.#ended = this.#run();
    this.#ended.catch(() => undefined);
  }

  /** `undefined` while an output that was found has not been healed yet. */
  status(): FollowStatus | undefined {
    const { path, follower } = this.#parts;
    const { position } = follower;
    if (position === undefined) return undefined;
    return {
      output: path,
      ...position,
      upToDateAtMs: this.#upToDateAtMs,
      lastError: this.#lastError,
    };
  }

  /** Resolves when it was disposed. */
  ended(): Promise<void> {
    return this.#ended;
  }

  /** Stops between two transactions. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new HeadwaterError("follow/stopped", "Following was stopped."));
    await this.#ended;
    await this.#opened[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { clock } = this.#environment;
    const { signal } = this.#stop;
    let looks = 0;
    let failures = 0;
    while (!signal.aborted) {
      let pauseMs = 0;
      try {
        const done = await this.#parts.follower.step({ signal });
        failures = 0;
        this.#lastError = undefined;
        looks = done === "idle" ? looks + 1 : 0;
        if (done === "idle") this.#upToDateAtMs = clock.nowMs();
        if (done !== "more") pauseMs = this.#pauseMs(looks);
      } catch (error) {
        if (signal.aborted) return;
        pauseMs = this.#failed(error, ++failures);
      }
      const status = this.status();
      if (status !== undefined) this.#parts.onStatus?.(status);
      await this.#parts.news.wait(pauseMs, { clock, signal });
    }
  }

  #pauseMs(looks: number): number {
    const factor = Math.min(idle.maxIntervals, idle.growth ** Math.max(0, looks - idle.looks));
    return this.#parts.options.intervalMs * factor;
  }

  #failed(error: unknown, failures: number): number {
    const { logger, random } = this.#environment;
    const retryMs = Math.round(backoffMs(failures, failureBackoff, random));
    const code = error instanceof HeadwaterError ? error.code : undefined;
    this.#lastError = messageOf(error);
    logger.log(code === undefined ? "error" : "warn", "follow.failed", {
      path: this.#parts.path,
      code,
      error: this.#lastError,
      retry_ms: retryMs,
    });
    return retryMs;
  }
}
