// Staged LTX files: captured, on local disk, not yet everywhere they have to be.
//
// `ltx/0/<txid>.ltx`   one file per TXID. The rename that gives it this name is the only commit point of a TXID.
// `ltx/0/<min>-<max>.ltx`  several TXIDs merged, because staging had grown too large; what it covers goes. Or TXIDs
//                          passed over, because a replica has them already.
// `ltx/0/<txid>.pos`   where in the WAL capture stood at the end of it, fsynced before that rename.
// `ltx/9/...`          full images, which are not part of the chain (see staged-images.ts).
//
// After a crash: a `.pos` without its `.ltx`, and every `*.tmp`, belong to a TXID that was never staged and go.
import { join } from "node:path";
import { assert, must } from "../../core/base/assert.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import { formatLtxName, parseLtxName } from "../../core/ltx/file-name.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import { formatTxid, parseTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import type { CapturePosition } from "../capture/capture-types.ts";
import { LtxFiles, damaged } from "./ltx-files.ts";
import type { LocalFile, LtxChunks } from "./ltx-files.ts";
import { createPosition, readPosition, replacePosition } from "./position-file.ts";
import { StagedImages } from "./staged-images.ts";
import type { StateOwnership } from "./state-directory.ts";

export interface StagedFile extends LocalFile {
  /** The first and the last TXID in it; equal but for merged files. */
  readonly minTxid: Txid;
  readonly txid: Txid;
}

export interface StageRequest {
  /** The first TXID, if it is not the last. */
  readonly minTxid?: Txid | undefined;
  readonly txid: Txid;
  /** The file's header where it is at hand; it need not be read again then. */
  readonly header?: LtxHeader | undefined;
  readonly position: CapturePosition;
  readonly chunks: LtxChunks;
}

export class Staging {
  /** Full images that wait for the uploader, or are held. */
  readonly images: StagedImages;
  readonly #ltx: LtxFiles;
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  /** Ascending by TXID. */
  #files: StagedFile[] = [];
  #newestPosition: CapturePosition | undefined;
  #era = 0;
  /** Found when staging was opened: what happened to them since they were written is not known. */
  readonly #unchecked = new Set<StagedFile>();
  readonly #headerByFile = new WeakMap<StagedFile, LtxHeader>();

  private constructor(fileSystem: FileSystem, stateDirectory: string, ownership: StateOwnership) {
    this.#fileSystem = fileSystem;
    this.#ltx = new LtxFiles(fileSystem, ownership);
    this.#directory = join(stateDirectory, "ltx", "0");
    this.images = new StagedImages(this.#ltx, join(stateDirectory, "ltx", "9"));
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

  /** Another number once what is staged was set aside: the same TXIDs may then have other bytes. */
  get era(): number {
    return this.#era;
  }

  get sizeBytes(): number {
    return this.#files.reduce((sum, file) => sum + file.sizeBytes, 0);
  }

  find(txid: Txid): StagedFile | undefined {
    return this.#files.find((file) => file.txid === txid);
  }

  /** The last TXID of the staged file that holds it, which can be restored; itself if none does. */
  endOf(txid: Txid): Txid {
    const holder = this.#files.find((file) => file.minTxid <= txid && file.txid >= txid);
    return holder?.txid ?? txid;
  }

  /** The bytes of a staged file, to put or to compare. */
  body(file: LocalFile): ObjectBody {
    return this.#ltx.body(file);
  }

  // --- opening ---------------------------------------------------------------------------------------

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
    await this.images.load();
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

  async #makeDirectories(): Promise<void> {
    const [ltx, state] = [join(this.#directory, ".."), join(this.#directory, "..", "..")];
    if ((await this.#fileSystem.status(this.#directory)) !== undefined) return;
    await this.#fileSystem.makeDirectory(this.#directory);
    for (const path of [ltx, this.#directory]) {
      await this.#fileSystem.setDirectoryOwnership(path, this.#ltx.ownership.directory);
    }
    await this.#fileSystem.syncDirectory(ltx);
    await this.#fileSystem.syncDirectory(state);
  }

  // --- staging ---------------------------------------------------------------------------------------

  /**
   * Stages one TXID. When it resolves, file and position survive a crash; when it throws, or the process dies
   * before the rename, nothing of it counts.
   */
  async stage(request: StageRequest): Promise<StagedFile> {
    const { txid, minTxid = txid, header, position, chunks } = request;
    const path = this.#pathOf(minTxid, txid);
    // An attempt whose last directory fsync failed left its file; a newer `.pos` beside it would skip commits.
    if (await this.#fileSystem.unlink(path)) await this.#fileSystem.syncDirectory(this.#directory);
    const written = await this.#ltx.create(path, chunks, () =>
      createPosition(this.#fileSystem, this.#positionPath(txid), position, {
        ownership: this.#ltx.ownership.file,
      }),
    );
    const file = { minTxid, txid, ...written };
    this.#files.push(file);
    if (header !== undefined) this.#headerByFile.set(file, header);
    this.#newestPosition = position;
    return file;
  }

  /** Moves the position of a staged TXID on: the source is known to equal that TXID there. */
  async movePosition(txid: Txid, position: CapturePosition): Promise<void> {
    await replacePosition(this.#fileSystem, this.#positionPath(txid), position, {
      ownership: this.#ltx.ownership.file,
    });
    if (txid === this.newest?.txid) this.#newestPosition = position;
  }

  /** Notes that the newest staged TXID is also what the source holds at `position`. Its file says where that was first. */
  continueAt(position: CapturePosition): void {
    this.#newestPosition = position;
  }

  /**
   * Puts one merged file in the place of the staged files `files`, which follow each other and do not include the
   * newest. `chunks` are its bytes.
   */
  async replaceByMerged(files: readonly StagedFile[], chunks: LtxChunks): Promise<StagedFile> {
    const [first, last] = [
      must(files[0], "a file to merge"),
      must(files.at(-1), "a file to merge"),
    ];
    assert(
      last !== this.newest && files.length > 1,
      "a merge that would take the newest staged file",
    );
    const path = join(this.#directory, formatLtxName(first.minTxid, last.txid));
    const written = await this.#ltx.create(path, chunks);
    const merged = { minTxid: first.minTxid, txid: last.txid, ...written };
    this.#files.splice(this.#files.indexOf(first), files.length, merged);
    for (const file of files) await this.#remove(file);
    return merged;
  }

  // --- reading ---------------------------------------------------------------------------------------

  /** The position after a staged TXID; `undefined` if it is missing or unreadable (then capture compares). */
  readPosition(txid: Txid): Promise<CapturePosition | undefined> {
    return readPosition(this.#fileSystem, this.#positionPath(txid));
  }

  async readHeader(file: StagedFile): Promise<LtxHeader> {
    const header = this.#headerByFile.get(file) ?? (await this.#ltx.readHeader(file.path));
    if (header.maxTxid !== file.txid) throw damaged(file.path);
    this.#headerByFile.set(file, header);
    return header;
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

  // --- letting go ------------------------------------------------------------------------------------

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
    this.#era++;
    await this.#fileSystem.syncDirectory(join(from, ".."));
    await this.#load();
    return to;
  }

  async #remove(file: StagedFile): Promise<void> {
    await this.#fileSystem.unlink(this.#positionPath(file.txid));
    await this.#fileSystem.unlink(file.path);
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

function parseStagedName(
  name: string,
): { readonly minTxid: Txid; readonly txid: Txid } | undefined {
  const range = parseLtxName(name);
  if (range !== undefined) return { minTxid: range.minTxid, txid: range.maxTxid };
  const txid = name.endsWith(".ltx") ? parseTxid(name.slice(0, -4)) : undefined;
  return txid === undefined ? undefined : { minTxid: txid, txid };
}
