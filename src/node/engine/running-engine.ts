// Runs one engine, put together from the real file system, clock and store (open-parts.ts), and takes it down in order.
// Runs in the process that calls it; `replicate` runs it in a process of its own.
import { lstatSync } from "node:fs";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { DatabaseEngine } from "./database-engine.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import type { EngineStatus } from "./engine-status.ts";
import { enforceRetention } from "./enforce-retention.ts";
import { openParts, scheduleOf } from "./open-parts.ts";
import type { EngineEnvironment } from "./open-parts.ts";
import type { PutTimes } from "./put-times.ts";
import type { RestRecord } from "./rest-record.ts";
import type { RestRequest } from "./rest-taker.ts";
import type { Waiting } from "./waiting.ts";

/** A last sync at shutdown is given up after this long. */
export const shutdownSyncMs = 30_000;

/** An engine at work. */
export class RunningEngine {
  readonly #engine: DatabaseEngine;
  readonly #dispose: () => Promise<void>;
  readonly #enforceRetention: (waiting: Waiting) => Promise<void>;
  readonly #latePuts: () => PutTimes["lateByReplica"];
  readonly #abort: AbortController;
  readonly #run: Promise<void>;
  #stopping: Promise<void> | undefined;
  #resting: Promise<unknown> | undefined;
  /** Replication ended by itself, before anybody stopped it. */
  #hasFailed = false;

  constructor(
    engine: DatabaseEngine,
    abort: AbortController,
    ways: {
      readonly dispose: () => Promise<void>;
      readonly enforceRetention: (waiting: Waiting) => Promise<void>;
      readonly latePuts: () => PutTimes["lateByReplica"];
    },
  ) {
    this.#engine = engine;
    this.#abort = abort;
    this.#dispose = ways.dispose;
    this.#enforceRetention = ways.enforceRetention;
    this.#latePuts = ways.latePuts;
    this.#run = engine.run({ signal: abort.signal });
    this.#run.catch(() => {
      this.#hasFailed = !abort.signal.aborted;
    });
  }

  /** Rejects when replication has ended by itself; resolves after `stop`. */
  async ended(): Promise<void> {
    try {
      await this.#run;
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error;
    }
  }

  /** See `PutTimes`. */
  get latePuts(): PutTimes["lateByReplica"] {
    return this.#latePuts();
  }

  /** True from the moment it is told to stop, or puts itself to rest. */
  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  sync(waiting: { readonly signal?: AbortSignal } = {}): Promise<Txid> {
    return this.#engine.sync(waiting);
  }

  /** Everything committed before the call is captured and on local disk. */
  stage(waiting: { readonly signal: AbortSignal }): Promise<Txid> {
    return this.#engine.stage(waiting);
  }

  status(): EngineStatus {
    return this.#engine.status();
  }

  /** Puts a full image at the newest TXID. */
  async snapshot({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    await this.#engine.snapshot({ signal });
  }

  /** Applies retention once, to what is in the replica now. For `once`: otherwise the levels do it. */
  enforceRetention(waiting: Waiting): Promise<void> {
    return this.#enforceRetention(waiting);
  }

  /**
   * Ends the loops, captures and uploads what is left, detaches. Throws if the last upload failed or the signal
   * gave it up: staged files stay and go up at the next start.
   */
  stop({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    this.#stopping ??= this.#stop({ signal });
    return this.#stopping;
  }

  /**
   * Stops if nothing has happened for `quietMs` and nothing is left to do. Returns what the next start may rely on;
   * `undefined` if it was not so, and replication goes on. What is committed from then on changes the files.
   */
  async hibernate(request: RestRequest): Promise<RestRecord | undefined> {
    if (this.#stopping !== undefined || this.#resting !== undefined) return undefined;
    const resting = this.#engine.rest(request);
    this.#resting = resting.catch(() => undefined);
    try {
      const record = await resting;
      // Nothing is waited for that could last: whatever has happened since is the next engine's.
      if (record !== undefined) await (this.#stopping ??= this.#end(async () => undefined));
      return record;
    } finally {
      this.#resting = undefined;
    }
  }

  /** Stops if there is no database any more and the replica has everything of it; `false` if it is not so. */
  async endIfGone(): Promise<boolean> {
    const { state, txid, replicatedThrough } = this.#engine.status();
    if (state !== "waiting" || replicatedThrough < (txid ?? 0n)) return false;
    if (this.#stopping !== undefined || this.#resting !== undefined) return false;
    await (this.#stopping = this.#end(async () => undefined));
    return true;
  }

  #stop({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    return this.#end(async () => {
      await this.#resting;
      if (!this.#hasFailed) await this.#engine.finish({ signal });
    });
  }

  async #end(finish: () => Promise<void>): Promise<void> {
    this.#abort.abort(new HeadwaterError("engine/stopped", "The replication was stopped."));
    await this.#run.catch(() => undefined);
    try {
      await finish();
    } finally {
      await this.#engine.close();
      await this.#dispose();
    }
  }
}

/**
 * Opens state, store and database, and starts replicating. Resolves when the database and the replica are one
 * history; waits for a database that is not there yet. Throws what waiting cannot mend.
 */
export async function startEngine(
  options: ResolvedOptions,
  environment: EngineEnvironment,
  { signal }: { readonly signal: AbortSignal },
): Promise<RunningEngine> {
  refuseDirectory(options.path);
  const stack = new AsyncDisposableStack();
  try {
    const { links, ...parts } = await openParts(options, environment, stack, { signal });
    const engine = new DatabaseEngine(parts, links);
    const failed = stack.move();
    try {
      await engine.open({ signal });
    } catch (error) {
      await engine.close();
      await failed.disposeAsync();
      throw error;
    }
    return new RunningEngine(engine, new AbortController(), {
      dispose: () => failed.disposeAsync(),
      latePuts: () => links.map(({ known }) => known.latePuts),
      enforceRetention: async (waiting) => {
        for (const link of links)
          await enforceRetention(scheduleOf(options), { ...parts, link, ...waiting });
      },
    });
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

function refuseDirectory(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  throw new HeadwaterError(
    "capture/not-a-database",
    `${path} is a directory. Give the path of a SQLite database.`,
    {
      data: { path },
    },
  );
}
