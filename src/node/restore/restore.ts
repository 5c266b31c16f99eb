// Restores a database from a replica: plan, download, apply, prove, check, publish. Nothing appears under the output's
// name before all of that has succeeded.
import type { Waiting } from "../../core/base/async.ts";
import { must } from "../../core/base/assert.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { openCodec } from "../../core/codec/codec.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { formatIndex } from "../../core/replica/generations.ts";
import { type Applied, applyFiles } from "./apply.ts";
import { Download, type FetchedFile } from "./download.ts";
import { type Environment, systemEnvironment } from "./environment.ts";
import {
  type Output,
  checkOutput,
  nameOutput,
  openTemporary,
  publishOutput,
  vacateOutput,
} from "./output.ts";
import { type IntegrityCheck, checkIntegrity } from "./sqlite-process.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";
import { applyGeneration } from "./restore-generations.ts";
import { type ChosenPoint, type RestorePlan, type RestorePoint, planFromStore } from "./target.ts";

/** Defaults of `restore`. */
export const restoreDefaults = { parallelism: 8, integrityCheck: "none", force: false } as const;

/** What to restore, to where. Without a point: the newest one. */
export interface RestoreOptions extends RestorePoint, Waiting {
  /** URL of the replica: `file:///absolute/path` or `s3://bucket/path`. */
  readonly replica: string;
  /** What opens the replica's store; without it the environment. Never logged. */
  readonly secrets?: StoreSecrets | undefined;
  /** Path of the database to make. Its directory is made if need be. */
  readonly output: string;
  /** Replace an existing database, with its -wal, -shm and -journal, once the restore has succeeded. */
  readonly force?: boolean | undefined;
  /** SQLite's own check of the result before it is put in place. */
  readonly integrityCheck?: IntegrityCheck | undefined;
  /** Requests to the store at once; each holds at most 8 MiB of memory. */
  readonly parallelism?: number | undefined;
  readonly onProgress?: ((progress: RestoreProgress) => void) | undefined;
  /** Gets `store.retry` whenever the store has to be asked again. */
  readonly logger?: Logger | undefined;
}

export interface RestoreProgress {
  readonly phase: "download" | "check";
  /** Of the files that make the restore point. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface RestoreResult {
  /** Absolute, symbolic links resolved. */
  readonly path: string;
  /** `undefined` for a Litestream 0.3 backup, which has none. */
  readonly txid: Txid | undefined;
  /** Of a Litestream 0.3 backup: where the restored state lies in it. */
  readonly generation?: GenerationPosition;
  /** Files that were applied. */
  readonly files: number;
  /** Of the database. */
  readonly sizeBytes: number;
  readonly elapsedMs: number;
  /**
   * `proved`: the database checksum equals the one taken when this TXID was captured. `unproved`: every file was intact,
   * but the last one carries no proof, because Litestream wrote it.
   */
  readonly proof: "proved" | "unproved";
  readonly integrityCheck: IntegrityCheck;
  /** After a restore to a time: which point that was, and what lies after it. */
  readonly chosen?: ChosenPoint;
}

/** A state of a Litestream 0.3 backup. */
export interface GenerationPosition {
  /** 16 hexadecimal digits. */
  readonly generation: string;
  /** Of the last WAL applied, 8 hexadecimal digits. */
  readonly index: string;
}

/**
 * Restores a database and resolves when it is on stable storage under its name. On any failure, an abort included,
 * the output is as it was before. Throws a `HeadwaterError`: `replica/*` and `ltx/*` name the file at fault.
 */
export async function restore(options: RestoreOptions): Promise<RestoreResult> {
  return restoreIn(systemEnvironment(options.logger), options);
}

/** `restore` with its surroundings as an argument. */
export async function restoreIn(
  environment: Environment,
  options: RestoreOptions,
): Promise<RestoreResult> {
  await using prepared = await prepareRestore(environment, options);
  return await prepared.publish(options);
}

/** A database that lies, proved, in a temporary file beside its place. Disposing it removes that file. */
export interface PreparedRestore extends AsyncDisposable {
  /** Absolute, symbolic links resolved. */
  readonly path: string;
  /** Sees to it, as far as that can be known beforehand, that `publish` will succeed. Throws `restore/*`. */
  vacate(waiting: Waiting): Promise<void>;
  /** Puts it in place. Throws `restore/*` if that cannot be done, and nothing has changed then. */
  publish(waiting: Waiting): Promise<RestoreResult>;
}

/** Does everything that a restore does but putting the database in its place. */
export async function prepareRestore(
  environment: Environment,
  options: RestoreOptions,
): Promise<PreparedRestore> {
  const { signal, secrets, force = restoreDefaults.force } = options;
  const { fileSystem, clock } = environment;
  const startedMs = clock.monotonicMs();
  const integrityCheck = options.integrityCheck ?? restoreDefaults.integrityCheck;
  const parallelism = options.parallelism ?? restoreDefaults.parallelism;
  if (!Number.isInteger(parallelism) || parallelism < 1) {
    throw new HeadwaterError("usage/invalid", "parallelism must be a whole number of at least 1.");
  }
  const output = await nameOutput(options.output, environment.random);
  await checkOutput(fileSystem, output, { force });
  await using store = await environment.openReplica(options.replica, { signal, secrets });
  const plan = await planFromStore(store, options, { signal });
  const { files, chosen } = plan;
  let isPublished = false;
  const remove = async (): Promise<void> => {
    // What went wrong before matters more than a file that cannot be removed.
    if (!isPublished) await fileSystem.unlink(output.temporaryPath).catch(() => undefined);
  };
  try {
    const applied = await download(environment, store, plan, { ...options, parallelism }, output);
    report(options, files, "check");
    const { path: name, temporaryPath } = output;
    await checkIntegrity(temporaryPath, { kind: integrityCheck, name, signal });
    signal?.throwIfAborted();
    return {
      path: output.path,
      vacate: (waiting) => vacateOutput(fileSystem, output, { ...waiting, force }),
      publish: async (waiting) => {
        await publishOutput(fileSystem, output, { ...waiting, force });
        isPublished = true;
        return {
          path: output.path,
          ...positionOf(plan),
          files: files.length,
          sizeBytes: applied.sizeBytes,
          elapsedMs: clock.monotonicMs() - startedMs,
          proof: applied.isProved ? "proved" : "unproved",
          integrityCheck,
          ...(chosen === undefined ? {} : { chosen }),
        };
      },
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function download(
  { fileSystem }: Environment,
  store: ObjectStore,
  plan: RestorePlan,
  options: RestoreOptions & { readonly parallelism: number },
  output: Output,
): Promise<Pick<Applied, "sizeBytes" | "isProved">> {
  const { files } = plan;
  const { signal, parallelism } = options;
  let doneBytes = 0;
  await using source = new Download(store, files, {
    parallelism,
    signal,
    onBytes: (bytes) => {
      doneBytes += bytes;
      report(options, files, "download", doneBytes);
    },
  });
  await using file = await openTemporary(fileSystem, output);
  if (plan.kind === "ltx") {
    return await applyFiles(plan.files, {
      codec: openCodec(),
      download: source,
      output: file,
      signal,
    });
  }
  const sizeBytes = await applyGeneration(plan.plan, {
    fileSystem,
    download: source,
    output: file,
    target: output,
    signal,
  });
  return { sizeBytes, isProved: false };
}

function positionOf(plan: RestorePlan): Pick<RestoreResult, "txid" | "generation"> {
  if (plan.kind === "ltx") return { txid: must(plan.files.at(-1), "last file of a plan").maxTxid };
  const { generation, index } = must(plan.files.at(-1), "last file of a plan");
  return { txid: undefined, generation: { generation, index: formatIndex(index) } };
}

function report(
  { onProgress }: RestoreOptions,
  files: readonly FetchedFile[],
  phase: RestoreProgress["phase"],
  doneBytes?: number,
): void {
  if (onProgress === undefined) return;
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  onProgress({ phase, doneBytes: doneBytes ?? totalBytes, totalBytes });
}
