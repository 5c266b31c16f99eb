// The state directory `.<file name>-headwater` beside a database: who we are, what is staged, what is acknowledged.
// Only one engine may hold it. The lock is a SQLite file with an open write transaction, so that the kernel
// releases it whatever happens to us; its name ends in nothing that a directory watch could take for a database.
import { existsSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { toHex, toHex64, viewOf } from "../../core/base/bytes.ts";
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";
import type { FileOwnership, FileSystem } from "../../core/base/file-system.ts";
import type { Random } from "../../core/base/random.ts";
import { encodeJson, readJson, replaceFile, writeDurably } from "./durable-file.ts";

/** Version of the layout below; a newer one is refused. */
const stateVersion = 1;

/** `.<file name>-headwater` beside the file that `databasePath` leads to through links. */
export function stateDirectoryOf(databasePath: string): string {
  const path = realPathOf(databasePath);
  return join(dirname(path), `.${basename(path)}-headwater`);
}

/** The path with links followed, as far as it exists. */
export function realPathOf(databasePath: string): string {
  const path = resolve(databasePath);
  if (existsSync(path)) return realpathSync(path);
  const directory = dirname(path);
  return existsSync(directory) ? join(realpathSync(directory), basename(path)) : path;
}

/** Mode and owner for what we create beside a database: the database's own, directories searchable. */
export interface StateOwnership {
  readonly file: FileOwnership;
  readonly directory: FileOwnership;
}

export function ownershipOf(databasePath: string): StateOwnership {
  const status = statSync(databasePath, { throwIfNoEntry: false });
  const mode = status === undefined ? 0o600 : status.mode & 0o777;
  const owner = {
    uid: status?.uid ?? process.getuid?.() ?? 0,
    gid: status?.gid ?? process.getgid?.() ?? 0,
  };
  // Whoever may read files of the database may search its state directory.
  const search = ((mode & 0o444) >> 2) & 0o111;
  return { file: { mode, ...owner }, directory: { mode: mode | search | 0o700, ...owner } };
}

export interface OpenStateOptions {
  readonly path: string;
  readonly fileSystem: FileSystem;
  readonly random: Random;
  readonly ownership: StateOwnership;
}

/** An opened and locked state directory. */
export class StateDirectory implements AsyncDisposable {
  readonly path: string;
  /** Random 64-bit id of this state, in every LTX header we write. */
  readonly nodeId: bigint;
  readonly ownership: StateOwnership;
  readonly #lock: DatabaseSync;

  constructor(path: string, nodeId: bigint, ownership: StateOwnership, lock: DatabaseSync) {
    this.path = path;
    this.nodeId = nodeId;
    this.ownership = ownership;
    this.#lock = lock;
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (this.#lock.isOpen) this.#lock.close();
    return Promise.resolve();
  }
}

/** Opens or makes the directory and takes its lock. Throws `engine/locked` or `engine/state`. */
export async function openStateDirectory(options: OpenStateOptions): Promise<StateDirectory> {
  const { path, fileSystem, ownership } = options;
  const isNew = (await fileSystem.status(path)) === undefined;
  try {
    await fileSystem.makeDirectory(path);
    if (isNew) await fileSystem.setDirectoryOwnership(path, ownership.directory);
  } catch (error) {
    throw new HeadwaterError(
      "capture/unreadable",
      `The state directory ${path} cannot be made: ${messageOf(error)}. Headwater writes beside the database; ` +
        `give it permission there, or another place with --state-dir.`,
      { data: { path }, cause: error },
    );
  }
  const lock = await lockStateDirectory(options);
  try {
    const nodeId = await loadNodeId(path, options);
    return new StateDirectory(path, nodeId, ownership, lock);
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Takes the lock of a directory that is there, until it is closed. Throws `engine/locked`. */
export async function lockStateDirectory({
  path,
  fileSystem,
  ownership,
}: OpenStateOptions): Promise<DatabaseSync> {
  const details = join(path, "lock.json");
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(path, "lock"));
    lock.exec("PRAGMA journal_mode = memory; BEGIN IMMEDIATE");
  } catch (error) {
    lock?.close();
    if (platformCode(error) === "ERR_SQLITE_ERROR" && /lock|busy/iu.test(messageOf(error))) {
      const holder = await readJson(fileSystem, details).catch(() => undefined);
      throw new HeadwaterError(
        "engine/locked",
        `${path} is in use by another Headwater${describeHolder(holder)}. Stop it first.`,
        { data: { path, ...holder }, cause: error },
      );
    }
    throw new HeadwaterError(
      "capture/unreadable",
      `The lock in ${path} cannot be taken: ${messageOf(error)}. Check owner and permissions of the directory.`,
      { data: { path }, cause: error },
    );
  }
  const holder = { pid: process.pid, startedAt: new Date().toISOString() };
  // Only words for an error message: not worth a sync of the disk each time a database wakes up.
  await replaceFile(fileSystem, details, encodeJson(holder), { ownership: ownership.file });
  return lock;
}

function describeHolder(holder: Readonly<Record<string, unknown>> | undefined): string {
  if (holder === undefined) return "";
  return ` (process ${String(holder["pid"])}, since ${String(holder["startedAt"])})`;
}

async function loadNodeId(path: string, options: OpenStateOptions): Promise<bigint> {
  const file = join(path, "state.json");
  const state = await readJson(options.fileSystem, file);
  if (state === undefined) return createState(file, options);
  const { version, nodeId } = state;
  if (version !== stateVersion || typeof nodeId !== "string" || !/^[0-9a-f]{16}$/u.test(nodeId)) {
    throw new HeadwaterError(
      "engine/state",
      `${file} has format version ${String(version)}; this Headwater knows ${stateVersion}. Use the Headwater that ` +
        `wrote it, or delete the state directory: the next start takes a full image.`,
      { data: { path: file } },
    );
  }
  return BigInt(`0x${nodeId}`);
}

async function createState(
  file: string,
  { fileSystem, random, ownership }: OpenStateOptions,
): Promise<bigint> {
  // Zero is Litestream's node id.
  const nodeId = viewOf(random.bytes(8)).getBigUint64(0) || 1n;
  const state = { version: stateVersion, nodeId: toHex64(nodeId) };
  await writeDurably(fileSystem, file, encodeJson(state), { ownership: ownership.file });
  return nodeId;
}

/** A suffix for names that are set aside, different each time. */
export function asideSuffix(nowMs: number, random: Random): string {
  const time = new Date(nowMs).toISOString().replaceAll(/[-:.]/gu, "");
  return `aside-${time}-${toHex(random.bytes(4))}`;
}
