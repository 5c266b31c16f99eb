// `follow`: the library's way to keep a local database at the newest state of a replica, in a child process of its own.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { HeadwaterError } from "../../core/base/errors.ts";
import { type Logger, silentLogger } from "../../core/base/log.ts";
import type { Waiting } from "../../core/base/async.ts";
import { siblingModule } from "../base/sibling-module.ts";
import { toError } from "../../core/base/sent-error.ts";
import type { FromFollower, ToFollower } from "./follow-messages.ts";
import { resolveFollowOptions } from "./follow-options.ts";
import type { FollowOptions, FollowStatus, ResolvedFollowOptions } from "./follow-options.ts";

/** The signal gives up starting; what runs is ended by disposing it. */
export interface FollowCallOptions extends FollowOptions, Waiting {
  /** Takes what happens; nothing is printed without it. */
  readonly logger?: Logger | undefined;
  /** Called whenever the replica has been looked at, and what was new is in the output. */
  readonly onStatus?: ((status: FollowStatus) => void) | undefined;
  /** Bytes of the first download, and of those that heal. */
  readonly onBytes?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/** A replica that is being followed. Dispose it to stop, between two transactions. */
export class Following implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #options: FollowCallOptions;
  readonly #ready = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #status: FollowStatus | undefined;
  #failure: Error | undefined;
  #isStopping = false;

  constructor(child: ChildProcess, resolved: ResolvedFollowOptions, options: FollowCallOptions) {
    this.#child = child;
    this.#options = options;
    this.#ended.promise.catch(() => undefined);
    this.#ready.promise.catch(() => undefined);
    // The child is our own code of the same version.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    child.on("message", (message) => this.#receive(message as FromFollower));
    child.on("exit", (code, signal) => this.#exited(signal ?? `exit code ${code}`));
    child.on("error", (error) => this.#fail(error));
    this.#send({ kind: "start", options: resolved });
  }

  /** Resolves when the output is there. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Rejects when following ends by itself; resolves after disposal. */
  ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** As of the last look at the replica; `undefined` while an output that was found is not yet what it has to be. */
  status(): FollowStatus | undefined {
    return this.#status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    this.#send({ kind: "stop" });
    await this.#ended.promise.catch(() => undefined);
  }

  #send(message: ToFollower): void {
    if (this.#child.connected) this.#child.send(message);
  }

  #receive(message: FromFollower): void {
    const { logger = silentLogger, onStatus, onBytes } = this.#options;
    switch (message.kind) {
      case "ready":
        return this.#ready.resolve();
      case "status":
        this.#status = message.status;
        return onStatus?.(message.status);
      case "progress":
        return onBytes?.(message.doneBytes, message.totalBytes);
      case "log":
        return logger.log(message.level, message.event, message.fields);
      case "failed":
        return this.#fail(toError(message.error));
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#ready.reject(this.#failure);
    this.#ended.reject(this.#failure);
  }

  #exited(how: string): void {
    if (this.#isStopping) {
      this.#ended.resolve();
      this.#ready.reject(new HeadwaterError("follow/stopped", "Following was stopped."));
      return;
    }
    this.#fail(
      new HeadwaterError(
        "follow/stopped",
        `The follow process ended (${how}). The output is whole: start following again, and it goes on from there.`,
      ),
    );
  }
}

/**
 * Keeps the database at `options.output` at the newest state of the replica at `url` until it is disposed. Any program
 * may read the database meanwhile, with any SQLite; nothing else may write it.
 *
 * Guarantee: readers see one proved state of the replica after the other, each whole, whatever ends when. Works in a
 * child process. Resolves when the output is there. Throws `HeadwaterError`.
 */
export async function follow(url: string, options: FollowCallOptions): Promise<Following> {
  const { signal } = options;
  signal?.throwIfAborted();
  const resolved = resolveFollowOptions(url, options);
  const child = spawn(process.execPath, [siblingModule(import.meta.url, "follow-process")], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
  const following = new Following(child, resolved, options);
  const onAbort = (): void => void following[Symbol.asyncDispose]();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await following.ready();
    return following;
  } catch (error) {
    await following[Symbol.asyncDispose]();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}
