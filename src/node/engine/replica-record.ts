// `replicas/<hash of URL>.json`: the last object that a replica acknowledged. A lower bound, written after each
// acknowledged put, so a crash between put and record leaves it one behind, and a power cut perhaps more: it is not
// worth a sync of the disk. What is missing in it is found by create-only puts or by listing.
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { FileSystem } from "../../core/base/file-system.ts";
import { formatTxid, parseTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { encodeJson, readJson, replaceFile, writeDurably } from "./durable-file.ts";
import type { StateOwnership } from "./state-directory.ts";

export interface ReplicaRecord {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  readonly sizeBytes: number;
  readonly etag: string;
}

export interface ReplicaRecordFileOptions {
  readonly fileSystem: FileSystem;
  readonly stateDirectory: string;
  readonly ownership: StateOwnership;
  /** The replica's URL without secrets. */
  readonly url: string;
}

/** Names the files of the state directory that are about one replica. `url` is without secrets. */
export function replicaHash(url: string): string {
  return createHash("sha256").update(url).digest("hex").slice(0, 16);
}

/** The path of a replica's files in a state directory, without their ending. */
export function replicaFileStem({
  stateDirectory,
  url,
}: Pick<ReplicaRecordFileOptions, "stateDirectory" | "url">): string {
  return join(stateDirectory, "replicas", replicaHash(url));
}

/** Reads and writes one replica's record. */
export class ReplicaRecordFile {
  readonly #options: ReplicaRecordFileOptions;
  readonly #path: string;
  #record: ReplicaRecord | undefined;
  /** The file says that there is none. */
  #isClear = false;

  private constructor(options: ReplicaRecordFileOptions) {
    this.#options = options;
    this.#path = `${replicaFileStem(options)}.json`;
  }

  static async open(options: ReplicaRecordFileOptions): Promise<ReplicaRecordFile> {
    const file = new ReplicaRecordFile(options);
    const directory = join(options.stateDirectory, "replicas");
    if ((await options.fileSystem.status(directory)) === undefined) {
      await options.fileSystem.makeDirectory(directory);
      await options.fileSystem.setDirectoryOwnership(directory, options.ownership.directory);
      await options.fileSystem.syncDirectory(options.stateDirectory);
    }
    // A damaged record is no record: the engine lists the replica and decides from what is there.
    const value = await readJson(options.fileSystem, file.#path).catch(() => undefined);
    file.#record = value === undefined ? undefined : parse(value, options.url);
    return file;
  }

  get record(): ReplicaRecord | undefined {
    return this.#record;
  }

  /** Records an acknowledged object. May be lost in a power cut, never in a crash of this process. */
  async write(record: ReplicaRecord): Promise<void> {
    const { fileSystem, ownership, url } = this.#options;
    const value = {
      url,
      level: record.level,
      minTxid: formatTxid(record.minTxid),
      txid: formatTxid(record.maxTxid),
      sizeBytes: record.sizeBytes,
      etag: record.etag,
    };
    this.#isClear = false;
    await replaceFile(fileSystem, this.#path, encodeJson(value), { ownership: ownership.file });
    this.#record = record;
  }

  /** Forgets what was acknowledged, if anything was, because the replica is no longer what it was. URL stays for `restore DB`. */
  async clear(): Promise<void> {
    if (this.#isClear) return;
    const { fileSystem, ownership, url } = this.#options;
    await writeDurably(fileSystem, this.#path, encodeJson({ url }), { ownership: ownership.file });
    this.#record = undefined;
    this.#isClear = true;
  }
}

function parse(value: Readonly<Record<string, unknown>>, url: string): ReplicaRecord | undefined {
  const { level, minTxid, txid, sizeBytes, etag } = value;
  const min = typeof minTxid === "string" ? parseTxid(minTxid) : undefined;
  const max = typeof txid === "string" ? parseTxid(txid) : undefined;
  if (value["url"] !== url || typeof level !== "number" || typeof sizeBytes !== "number")
    return undefined;
  if (min === undefined || max === undefined || typeof etag !== "string") return undefined;
  return { level, minTxid: min, maxTxid: max, sizeBytes, etag };
}
