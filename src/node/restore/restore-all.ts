// Restores many databases to one common time, all or none: each is downloaded and proved beside its place first, and only
// when that has succeeded for every one of them are they put in place.
import { type Waiting, mapConcurrent } from "../../core/base/async.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";
import type { Environment } from "./environment.ts";
import { checkOutput, nameOutput } from "./output.ts";
import { type PreparedRestore, type RestoreResult, prepareRestore } from "./restore.ts";
import type { RestoreProgress } from "./restore.ts";
import type { IntegrityCheck } from "./sqlite-process.ts";

/** One of the databases. */
export interface RestoreRequest {
  /** URL of its replica. */
  readonly replica: string;
  readonly secrets: StoreSecrets | undefined;
  /** Where it is restored to. */
  readonly output: string;
}

export interface RestoreAllOptions extends Waiting {
  /** Each database is restored to its newest point strictly before this. */
  readonly timestamp: Date;
  readonly force: boolean;
  readonly integrityCheck: IntegrityCheck;
  /** Requests to the stores at once, of all databases together. */
  readonly parallelism: number;
  /** Put in place what could be restored, whatever became of the others. */
  readonly partial: boolean;
  /** A database without a backup is no failure. */
  readonly skipEmpty: boolean;
  /** Bytes of all databases whose download has begun. */
  readonly onProgress?: ((progress: Omit<RestoreProgress, "phase">) => void) | undefined;
}

export interface RestoreFailure {
  readonly request: RestoreRequest;
  readonly error: unknown;
}

export interface RestoreAllResult {
  readonly restored: readonly {
    readonly request: RestoreRequest;
    readonly result: RestoreResult;
  }[];
  /** Only with `skipEmpty`. */
  readonly withoutBackup: readonly RestoreRequest[];
  /** Only with `partial`. */
  readonly failed: readonly RestoreFailure[];
}

/** Databases that are downloaded at the same time. */
const atOnce = 4;

/**
 * Restores all of them. Throws `restore/all`, naming every database at fault, before anything is replaced; only what goes
 * wrong in the last step, when files are renamed, can leave some of them replaced, and the error says which.
 */
export async function restoreAll(
  environment: Environment,
  requests: readonly RestoreRequest[],
  options: RestoreAllOptions,
): Promise<RestoreAllResult> {
  const run = new RestoreRun(environment, options);
  await using prepared = new AsyncDisposableStack();
  const free = await run.each(requests, (request) => run.checkPlace(request), { isQuick: true });
  const made = await run.each(free, (request, signal) => run.prepare(request, signal, prepared));
  const ready = await run.each(made, async (one, signal) => {
    await one.restore.vacate({ signal });
    return one;
  });
  options.signal?.throwIfAborted();
  const restored: { request: RestoreRequest; result: RestoreResult }[] = [];
  // All of them now: to be interrupted here would leave some replaced.
  for (const { request, restore } of ready) {
    try {
      restored.push({ request, result: await restore.publish({}) });
    } catch (error) {
      run.failed.push({ request, error });
      if (!options.partial) throw failure(run.failed, restored.length);
    }
  }
  return { restored, withoutBackup: run.withoutBackup, failed: run.failed };
}

interface Prepared {
  readonly request: RestoreRequest;
  readonly restore: PreparedRestore;
}

class RestoreRun {
  readonly failed: RestoreFailure[] = [];
  readonly withoutBackup: RestoreRequest[] = [];
  readonly #environment: Environment;
  readonly #options: RestoreAllOptions;
  readonly #bytesByOutput = new Map<string, { doneBytes: number; totalBytes: number }>();

  constructor(environment: Environment, options: RestoreAllOptions) {
    this.#environment = environment;
    this.#options = options;
  }

  /**
   * Does `work` for all and returns what it gave; `undefined` is left out. Failures are noted, and thrown unless the others
   * are to be restored all the same. The first one breaks off the rest, except of quick work.
   */
  async each<T extends RestoreRequest | Prepared, R>(
    items: readonly T[],
    work: (item: T, signal: AbortSignal) => Promise<R | undefined>,
    { isQuick = false }: { readonly isQuick?: boolean } = {},
  ): Promise<readonly R[]> {
    const { signal, partial } = this.#options;
    const stop = new AbortController();
    const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    const results = await mapConcurrent(items, atOnce, async (item) => {
      if (both.aborted) return undefined;
      try {
        return await work(item, both);
      } catch (error) {
        // Broken off because of another one, which is the failure.
        if (both.aborted) return undefined;
        this.failed.push({ request: "request" in item ? item.request : item, error });
        if (!partial && !isQuick) stop.abort(error);
        return undefined;
      }
    });
    signal?.throwIfAborted();
    if (!partial && this.failed.length > 0) throw failure(this.failed, 0);
    return results.filter((result) => result !== undefined);
  }

  /** Before anything is downloaded: is its place free. */
  async checkPlace(request: RestoreRequest): Promise<RestoreRequest> {
    const output = await nameOutput(request.output, this.#environment.random);
    await checkOutput(this.#environment.fileSystem, output, this.#options);
    return request;
  }

  async prepare(
    request: RestoreRequest,
    signal: AbortSignal,
    prepared: AsyncDisposableStack,
  ): Promise<Prepared | undefined> {
    const { timestamp, force, integrityCheck, parallelism, skipEmpty } = this.#options;
    try {
      const restore = await prepareRestore(this.#environment, {
        ...request,
        timestamp,
        force,
        integrityCheck,
        parallelism: Math.max(1, Math.floor(parallelism / atOnce)),
        signal,
        onProgress: (progress) => this.#report(request, progress),
      });
      return { request, restore: prepared.use(restore) };
    } catch (error) {
      if (!skipEmpty || !hasCode(error, "replica/empty")) throw error;
      this.withoutBackup.push(request);
      return undefined;
    }
  }

  #report({ output }: RestoreRequest, { doneBytes, totalBytes }: RestoreProgress): void {
    const { onProgress } = this.#options;
    if (onProgress === undefined) return;
    this.#bytesByOutput.set(output, { doneBytes, totalBytes });
    const all = { doneBytes: 0, totalBytes: 0 };
    for (const one of this.#bytesByOutput.values()) {
      all.doneBytes += one.doneBytes;
      all.totalBytes += one.totalBytes;
    }
    onProgress(all);
  }
}

function failure(failed: readonly RestoreFailure[], replaced: number): HeadwaterError {
  const summary =
    replaced === 0
      ? "Nothing was restored, and no database was touched: not all of them can be restored."
      : `${replaced} databases were put in place before one could not be; the rest are as they were.`;
  const lines = failed.map(({ request, error }) => `  ${request.output}: ${messageOf(error)}`);
  return new HeadwaterError(
    "restore/all",
    [summary, ...lines, "Mend that, or pass --partial to restore the others."].join("\n"),
    {
      data: { outputs: failed.map(({ request }) => request.output), replaced },
      cause: failed[0]?.error,
    },
  );
}
