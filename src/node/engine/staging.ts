// Staged LTX files: captured, on local disk, not yet everywhere they have to be.
//
// `ltx/0/<txid>.ltx`   one file per TXID. The rename that gives it this name is the only commit point of a TXID.
// `ltx/0/<min>-<max>.ltx`  several TXIDs merged, because staging had grown too large; what it covers goes. Or TXIDs
//                          passed over, because a replica has them already.
// `ltx/0/<txid>.pos`   where in the WAL capture stood at the end of it, fsynced before that rename.
// `ltx/9/<min>-<max>.ltx`  a full image that had to be finished locally (see first-image.ts), and waits for the uploader.
// `ltx/9/<min>-<max>.held` the same, for whoever holds it (see replica-image.ts).
//
// After a crash: a `.pos` without its `.ltx`, and every `*.tmp`, belong to a TXID that was never staged and go.
import { join } from "node:path";
import { assert, must } from "../../core/base/assert.ts";
import { HeadwaterError, platformCode } from "../../core/base/errors.ts";
import type { FileSystem, OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import { formatLtxName, parseLtxName } from "../../core/ltx/file-name.ts";
import { decodeHeader, ltxHeaderSizeBytes } from "../../core/ltx/header.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import { formatTxid, parseTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import type { CapturePosition } from "../capture/capture-types.ts";
import { encodeJson, readJson, writeDurably, writeSynced } from "./durable-file.ts";
import type { StateOwnership } from "./state-directory.ts";

export interface StagedFile {
  /** The first and the last TXID in it; equal but for merged files. */
  readonly minTxid: Txid;
  readonly txid: Txid;
  readonly path: string;
  readonly sizeBytes: number;
}

/** A full image that could not be streamed and waits here for the uploader. */
export interface StagedSnapshot {
  readonly header: LtxHeader;
  readonly path: string;
  readonly sizeBytes: number;
}

/** A full image on local disk, there until it is disposed. */
export interface HeldImage extends AsyncDisposable {
  readonly body: ObjectBody;
}

export interface StageRequest {
  /** The first TXID, if it is not the last. */
  readonly minTxid?: Txid | undefined;
  readonly txid: Txid;
  /** The file's header where it is at hand; it need not be read again then. */
  readonly header?: LtxHeader | undefined;
  readonly position: CapturePosition;
  /** The bytes of the LTX file; each chunk is borrowed until the next is asked for. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

const readChunkBytes = 1 << 20;

export class Staging {
  readonly #fileSystem: FileSystem;
  readonly #ownership: StateOwnership;
  readonly #directory: string;
  /** Ascending by TXID. */
  #files: StagedFile[] = [];
  #snapshot: StagedSnapshot | undefined;
  #newestPosition: CapturePosition | undefined;
  /** Found when staging was opened: what happened to them since they were written is not known. */
  readonly #unchecked = new Set<StagedFile>();
  readonly #headerByFile = new WeakMap<StagedFile, LtxHeader>();

  private constructor(fileSystem: FileSystem, stateDirectory: string, ownership: StateOwnership) {
    this.#fileSystem = fileSystem;
    this.#ownership = ownership;
    this.#directory = join(stateDirectory, "ltx", "0");
  }

  /** Opens what is staged and removes what a crash left half done. */
  static async open(
    fileSystem: FileSystem,
    stateDirectory: string,
    ownership: StateOwnership,
  ): Promise<Staging> {
    const staging = new Staging(fileSystem, stateDirectory, ownership);
    await staging.#load();
    return staging;
  }

  get files(): readonly StagedFile[] {
    return this.#files;
  }

  get newest(): StagedFile | undefined {
    return this.#files.at(-1);
  }

  /** The position at the end of the newest staged file; `undefined` if there is none that can be read. */
  get newestPosition(): CapturePosition | undefined {
    return this.#newestPosition;
  }

  get snapshot(): StagedSnapshot | undefined {
    return this.#snapshot;
  }

  get sizeBytes(): number {
    return this.#files.reduce((sum, file) => sum + file.sizeBytes, 0);
  }

  find(txid: Txid): StagedFile | undefined {
    return this.#files.find((file) => file.txid === txid);
  }

  async #load(): Promise<void> {
    await this.#makeDirectories();
    const names = (await this.#fileSystem.list(this.#directory)) ?? [];
    const known = new Set(names);
    for (const name of names) {
      const isLeftOver =
        name.endsWith(".tmp") ||
        (name.endsWith(".pos") && !known.has(name.replace(/\.pos$/u, ".ltx")));
      if (isLeftOver) await this.#fileSystem.unlink(join(this.#directory, name));
    }
    this.#files = [];
    for (const name of names) {
      const range = parseStagedName(name);
      if (range === undefined) continue;
      const path = join(this.#directory, name);
      const status = await this.#fileSystem.status(path);
      if (status === undefined) continue;
      const file = { ...range, path, sizeBytes: status.sizeBytes };
      this.#files.push(file);
      this.#unchecked.add(file);
    }
    this.#files.sort((a, b) => (a.txid < b.txid ? -1 : a.txid > b.txid ? 1 : 0));
    await this.#removeCovered();
    this.#newestPosition = this.newest && (await this.readPosition(this.newest.txid));
    await this.#loadSnapshot();
  }

  /** Removes single files that a merged one covers: a crash came between its rename and their removal. */
  async #removeCovered(): Promise<void> {
    for (const merged of this.#files.filter((file) => file.minTxid !== file.txid)) {
      const covered = this.#files.filter(
        (file) => file !== merged && file.minTxid >= merged.minTxid && file.txid <= merged.txid,
      );
      for (const file of covered) await this.#remove(file);
      this.#files = this.#files.filter((file) => !covered.includes(file));
    }
  }

  async #remove(file: StagedFile): Promise<void> {
    await this.#fileSystem.unlink(this.#positionPath(file.txid));
    await this.#fileSystem.unlink(file.path);
  }

  /**
   * Puts one merged file in the place of the staged files `files`, which follow each other and do not include the
   * newest. `chunks` are its bytes.
   */
  async replaceByMerged(
    files: readonly StagedFile[],
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<StagedFile> {
    const [first, last] = [
      must(files[0], "a file to merge"),
      must(files.at(-1), "a file to merge"),
    ];
    assert(
      last !== this.newest && files.length > 1,
      "a merge that would take the newest staged file",
    );
    const path = join(this.#directory, formatLtxName(first.minTxid, last.txid));
    const temporary = `${path}.tmp`;
    try {
      const sizeBytes = await this.#write(temporary, chunks);
      await this.#fileSystem.rename(temporary, path);
      await this.#fileSystem.syncDirectory(this.#directory);
      const merged = { minTxid: first.minTxid, txid: last.txid, path, sizeBytes };
      this.#files.splice(this.#files.indexOf(first), files.length, merged);
      for (const file of files) await this.#remove(file);
      return merged;
    } catch (error) {
      await this.#fileSystem.unlink(temporary).catch(() => false);
      throw error;
    }
  }

  async #loadSnapshot(): Promise<void> {
    this.#snapshot = undefined;
    for (const name of (await this.#fileSystem.list(this.#snapshotDirectory)) ?? []) {
      const path = join(this.#snapshotDirectory, name);
      const status = await this.#fileSystem.status(path);
      if (parseLtxName(name) === undefined || status === undefined) {
        await this.#fileSystem.unlink(path);
        continue;
      }
      const header = await this.#headerOf(path);
      this.#snapshot = { header, path, sizeBytes: status.sizeBytes };
    }
  }

  get #snapshotDirectory(): string {
    return join(this.#directory, "..", "9");
  }

  /** Stages a full image for the uploader. */
  async stageSnapshot(
    header: LtxHeader,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<StagedSnapshot> {
    const directory = this.#snapshotDirectory;
    await this.#fileSystem.makeDirectory(directory);
    await this.#fileSystem.setDirectoryOwnership(directory, this.#ownership.directory);
    const path = join(directory, formatLtxName(header.minTxid, header.maxTxid));
    try {
      const sizeBytes = await this.#write(`${path}.tmp`, chunks);
      await this.#fileSystem.rename(`${path}.tmp`, path);
      await this.#fileSystem.syncDirectory(directory);
      this.#snapshot = { header, path, sizeBytes };
      return this.#snapshot;
    } catch (error) {
      await this.#fileSystem.unlink(`${path}.tmp`).catch(() => false);
      throw error;
    }
  }

  /** Writes a full image beside the staged files for somebody who disposes it; a crash ends it too. */
  async holdImage(name: string, chunks: AsyncIterable<Uint8Array>): Promise<HeldImage> {
    const directory = this.#snapshotDirectory;
    await this.#fileSystem.makeDirectory(directory);
    await this.#fileSystem.setDirectoryOwnership(directory, this.#ownership.directory);
    const path = join(directory, `${name}.held`);
    const remove = async (): Promise<void> => void (await this.#fileSystem.unlink(path));
    try {
      const sizeBytes = await this.#write(path, chunks);
      return { body: this.body({ path, sizeBytes }), [Symbol.asyncDispose]: remove };
    } catch (error) {
      await remove().catch(() => undefined);
      throw error;
    }
  }

  async removeSnapshot(): Promise<void> {
    if (this.#snapshot !== undefined) await this.#fileSystem.unlink(this.#snapshot.path);
    this.#snapshot = undefined;
  }

  async #makeDirectories(): Promise<void> {
    if ((await this.#fileSystem.status(this.#directory)) !== undefined) return;
    await this.#fileSystem.makeDirectory(this.#directory);
    for (const path of [join(this.#directory, ".."), this.#directory]) {
      await this.#fileSystem.setDirectoryOwnership(path, this.#ownership.directory);
    }
    await this.#fileSystem.syncDirectory(join(this.#directory, ".."));
    await this.#fileSystem.syncDirectory(join(this.#directory, "..", ".."));
  }

  /**
   * Stages one TXID. When it resolves, file and position survive a crash; when it throws, or the process dies
   * before the rename, nothing of it counts.
   */
  async stage(request: StageRequest): Promise<StagedFile> {
    const { txid, minTxid = txid, header, position, chunks } = request;
    const path = this.#pathOf(minTxid, txid);
    const temporary = `${path}.tmp`;
    // An attempt whose last directory fsync failed left its file; a newer `.pos` beside it would skip commits.
    if (await this.#fileSystem.unlink(path)) await this.#fileSystem.syncDirectory(this.#directory);
    try {
      // Both on the disk before the rename; the disk syncs two files in little more time than one.
      const [sizeBytes] = await allDone([
        this.#write(temporary, chunks),
        writeSynced(this.#fileSystem, this.#positionPath(txid), encodeJson(position), {
          ownership: this.#ownership.file,
        }),
      ]);
      await this.#fileSystem.rename(temporary, path);
      await this.#fileSystem.syncDirectory(this.#directory);
      const file = { minTxid, txid, path, sizeBytes };
      this.#files.push(file);
      if (header !== undefined) this.#headerByFile.set(file, header);
      this.#newestPosition = position;
      return file;
    } catch (error) {
      await this.#fileSystem.unlink(temporary).catch(() => false);
      throw error;
    }
  }

  async #write(path: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    await using file = await this.#fileSystem.open(path, "create");
    await file.setOwnership(this.#ownership.file);
    let sizeBytes = 0;
    for await (const chunk of chunks) {
      await file.write(chunk, sizeBytes);
      sizeBytes += chunk.length;
    }
    await file.sync();
    return sizeBytes;
  }

  /** Moves the position of a staged TXID on: the source is known to equal that TXID there. */
  async movePosition(txid: Txid, position: CapturePosition): Promise<void> {
    await writeDurably(this.#fileSystem, this.#positionPath(txid), encodeJson(position), {
      ownership: this.#ownership.file,
    });
    if (txid === this.newest?.txid) this.#newestPosition = position;
  }

  /** Notes that the newest staged TXID is also what the source holds at `position`. Its file says where that was first. */
  continueAt(position: CapturePosition): void {
    this.#newestPosition = position;
  }

  /** The position after a staged TXID; `undefined` if it is missing or unreadable (then capture compares). */
  async readPosition(txid: Txid): Promise<CapturePosition | undefined> {
    const value = await readJson(this.#fileSystem, this.#positionPath(txid)).catch(() => undefined);
    return value === undefined ? undefined : toPosition(value);
  }

  async readHeader(file: StagedFile): Promise<LtxHeader> {
    const header = this.#headerByFile.get(file) ?? (await this.#headerOf(file.path));
    if (header.maxTxid !== file.txid) throw damaged(file.path);
    return header;
  }

  async #headerOf(path: string): Promise<LtxHeader> {
    await using open = await this.#fileSystem.open(path, "read");
    const bytes = new Uint8Array(ltxHeaderSizeBytes);
    if ((await open.read(bytes, 0)) !== ltxHeaderSizeBytes) throw damaged(path);
    return decodeHeader(bytes);
  }

  /** Reads a file from an earlier run through before it leaves the machine. Throws `engine/state` if it is damaged. */
  async checkIntact(
    file: StagedFile,
    codec: Codec,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    if (!this.#unchecked.has(file)) return;
    try {
      const chunks = this.body(file).open({ signal });
      const reader = await openLtx(codec, chunks, { name: file.path, signal });
      for await (const batch of reader.pages()) void batch;
    } catch (error) {
      signal.throwIfAborted();
      const isDamaged = error instanceof HeadwaterError && error.code.startsWith("ltx/");
      throw isDamaged ? damaged(file.path, error) : error;
    }
    this.#unchecked.delete(file);
  }

  /** The bytes of a staged file, to put or to compare. */
  body(file: Pick<StagedFile, "path" | "sizeBytes">): ObjectBody {
    return { sizeBytes: file.sizeBytes, open: () => this.#read(file) };
  }

  async *#read(file: Pick<StagedFile, "path" | "sizeBytes">): AsyncGenerator<Uint8Array> {
    await using open = await this.#openToRead(file.path);
    const chunk = new Uint8Array(Math.min(readChunkBytes, file.sizeBytes));
    for (let at = 0; at < file.sizeBytes;) {
      const count = await open.read(chunk, at);
      if (count === 0) throw damaged(file.path, new Error(`It ends after ${at} bytes.`));
      yield chunk.subarray(0, count);
      at += count;
    }
  }

  async #openToRead(path: string): Promise<OpenFile> {
    try {
      return await this.#fileSystem.open(path, "read");
    } catch (error) {
      if (platformCode(error) === "ENOENT") throw damaged(path, error);
      throw error;
    }
  }

  /** Removes staged files up to `txid`, oldest first, but never the newest. */
  async removeThrough(txid: Txid): Promise<void> {
    const gone = this.#files.filter((file) => file.txid <= txid && file !== this.newest);
    for (const file of gone) await this.#remove(file);
    this.#files = this.#files.filter((file) => !gone.includes(file));
  }

  /** Puts everything staged aside in one step: a crash afterwards finds no local state. */
  async setAside(suffix: string): Promise<string> {
    const from = join(this.#directory, "..");
    const to = `${from}.${suffix}`;
    await this.#fileSystem.rename(from, to);
    await this.#fileSystem.syncDirectory(join(from, ".."));
    await this.#load();
    return to;
  }

  #pathOf(minTxid: Txid, txid: Txid): string {
    const isSingle = minTxid === txid;
    const name = isSingle ? `${formatTxid(txid)}.ltx` : formatLtxName(minTxid, txid);
    return join(this.#directory, name);
  }

  #positionPath(txid: Txid): string {
    return join(this.#directory, `${formatTxid(txid)}.pos`);
  }
}

/** Like `Promise.all`, but when it throws nothing is under way any more. */
async function allDone<T extends readonly unknown[]>(work: {
  readonly [Index in keyof T]: Promise<T[Index]>;
}): Promise<T> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

function parseStagedName(
  name: string,
): { readonly minTxid: Txid; readonly txid: Txid } | undefined {
  const range = parseLtxName(name);
  if (range !== undefined) return { minTxid: range.minTxid, txid: range.maxTxid };
  const txid = name.endsWith(".ltx") ? parseTxid(name.slice(0, -4)) : undefined;
  return txid === undefined ? undefined : { minTxid: txid, txid };
}

/** The error for a staged file whose bytes are not what was staged. */
export function damaged(path: string, cause?: unknown): HeadwaterError {
  return new HeadwaterError(
    "engine/state",
    `The staged file ${path} is damaged. It is set aside, and a full image is taken instead.`,
    { data: { path }, cause },
  );
}

function toPosition(value: Readonly<Record<string, unknown>>): CapturePosition | undefined {
  const field = (name: string): number => {
    const number = value[name];
    return typeof number === "number" &&
      Number.isInteger(number) &&
      number >= 0 &&
      number <= 0xffff_ffff
      ? number
      : Number.NaN;
  };
  const position = {
    salt1: field("salt1"),
    salt2: field("salt2"),
    frame: field("frame"),
    checksum1: field("checksum1"),
    checksum2: field("checksum2"),
  };
  return Object.values(position).some(Number.isNaN) ? undefined : position;
}
