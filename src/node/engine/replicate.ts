// `replicate`: the library's way to run an engine, in a child process of its own.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { HeadwaterError } from "../../core/base/errors.ts";
import { silentLogger } from "../../core/base/log.ts";
import type { Logger } from "../../core/base/log.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { siblingModule } from "../base/sibling-module.ts";
import { toError } from "../../core/base/sent-error.ts";
import type { FromEngine, ToEngine } from "./engine-messages.ts";
import { resolveOptions } from "./engine-options.ts";
import type { ReplicateOptions, ResolvedOptions } from "./engine-options.ts";
import type { EngineStatus } from "./engine-status.ts";
import { checkPlatform } from "./platform.ts";

export interface ReplicateCallOptions extends ReplicateOptions {
  /** Takes what happens; nothing is printed without it. */
  readonly logger?: Logger | undefined;
  /** Gives up starting; a running replication is ended by disposing it. */
  readonly signal?: AbortSignal | undefined;
}

interface Pending {
  readonly resolve: (message: FromEngine) => void;
  readonly reject: (error: unknown) => void;
}

/** A running replication. Dispose it to stop: what is committed by then is uploaded first. */
export class Replication implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #logger: Logger;
  readonly #pending = new Map<number, Pending>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #lastId = 0;
  #failure: Error | undefined;
  #isStopping = false;

  constructor(child: ChildProcess, options: ResolvedOptions, logger: Logger) {
    this.#child = child;
    this.#logger = logger;
    this.#ended.promise.catch(() => undefined);
    this.#ready.promise.catch(() => undefined);
    // The child is our own code of the same version.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    child.on("message", (message) => this.#receive(message as FromEngine));
    child.on("exit", (code, signal) => this.#exited(code, signal));
    child.on("error", (error) => this.#fail(error));
    this.#send({ kind: "start", options });
  }

  /** Resolves when database and replica are one history. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Rejects when replication ends by itself, with the reason; resolves after disposal. */
  ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Resolves when everything committed before the call is durable in the replica. Callers share uploads. */
  async sync(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<{ readonly txid: Txid }> {
    const message = await this.#request((id) => ({ kind: "sync", id }), options);
    if (message.kind !== "synced")
      throw new Error("Headwater bug: a sync was answered by something else");
    return { txid: toTxid(message.txid) };
  }

  async status(): Promise<EngineStatus> {
    const message = await this.#request((id) => ({ kind: "status", id }), {});
    if (message.kind !== "status")
      throw new Error("Headwater bug: a status was answered by something else");
    return message.status;
  }

  /** Stops after a last sync, which is given up after 30 s. Throws if something could not be uploaded. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isStopping && this.#failure === undefined) this.#send({ kind: "stop" });
    this.#isStopping = true;
    await this.#ended.promise;
  }

  #request(
    message: (id: number) => ToEngine,
    { signal }: { readonly signal?: AbortSignal | undefined },
  ): Promise<FromEngine> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const id = ++this.#lastId;
    return new Promise<FromEngine>((resolve, reject) => {
      const onAbort = (): void => {
        this.#pending.delete(id);
        reject(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
      };
      const settle =
        <T>(then: (value: T) => void): ((value: T) => void) =>
        (value) => {
          signal?.removeEventListener("abort", onAbort);
          then(value);
        };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#pending.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#send(message(id));
    });
  }

  #send(message: ToEngine): void {
    if (this.#child.connected) this.#child.send(message);
  }

  #receive(message: FromEngine): void {
    switch (message.kind) {
      case "ready":
        return this.#ready.resolve();
      case "log":
        return this.#logger.log(message.level, message.event, message.fields);
      case "stopped":
        return;
      case "failed":
        if (message.id === undefined) return this.#fail(toError(message.error));
        return this.#take(message.id)?.reject(toError(message.error));
      case "synced":
      case "status":
        return this.#take(message.id)?.resolve(message);
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#ready.reject(this.#failure);
    for (const id of this.#pending.keys()) this.#take(id)?.reject(this.#failure);
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
    const isClean = this.#isStopping && code === 0;
    if (!isClean && this.#failure === undefined) {
      this.#fail(
        new HeadwaterError(
          "engine/stopped",
          `The capture process ended ${how}. Nothing committed is lost: start the replication again.`,
        ),
      );
    }
    if (this.#failure === undefined) {
      this.#fail(new HeadwaterError("engine/stopped", "The replication was stopped."));
      this.#ended.resolve();
    } else {
      this.#ended.reject(this.#failure);
    }
  }
}

/**
 * Replicates a SQLite database to a replica until it is disposed.
 *
 * Guarantee: every transaction committed while it runs, and everything committed before it started, reaches the
 * replica; after `sync()` it is there. Works in a child process. Throws `HeadwaterError`.
 */
export async function replicate(options: ReplicateCallOptions): Promise<Replication> {
  const { logger = silentLogger, signal } = options;
  signal?.throwIfAborted();
  const resolved = resolveOptions(options);
  checkPlatform(logger);
  const child = spawn(process.execPath, [siblingModule(import.meta.url, "capture-process")], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
  const replication = new Replication(child, resolved, logger);
  const onAbort = (): void => void replication[Symbol.asyncDispose]().catch(() => undefined);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await replication.ready();
    return replication;
  } catch (error) {
    await replication.ended().catch(() => undefined);
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}
