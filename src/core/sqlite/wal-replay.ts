// What a whole WAL leaves in the database, read front to back: of every page the newest committed frame
// (https://www.sqlite.org/fileformat2.html section 4). Unlike SQLite's recovery it does not end quietly at the first
// frame that does not fit: in a backup such a frame means that something was lost.
import { viewOf } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { WalChecksum } from "./wal-checksum.ts";
import {
  type WalHeader,
  decodeWalFrameHeader,
  decodeWalHeader,
  walFrameHeaderSizeBytes,
  walHeaderSizeBytes,
} from "./wal.ts";

/** Bytes of a frame's header that its checksum covers. */
const summedHeaderBytes = 8;

/** Takes the bytes of one WAL in any pieces. */
export class WalReplay {
  /** Whole frames are collected here; until there is a header, that. */
  #pending = new Uint8Array(walHeaderSizeBytes);
  #pendingBytes = 0;
  #header: WalHeader | undefined;
  #sum = new WalChecksum("big");
  #frames = 0;
  #sizeBytes = 0;
  #commit: number | undefined;
  readonly #uncommitted = new Map<number, number>();
  readonly #frameByPgno = new Map<number, number>();

  /** Bytes taken so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** `undefined` until its 32 bytes are there. */
  get header(): WalHeader | undefined {
    return this.#header;
  }

  /** Size of the database in pages after the last commit; `undefined` without one. */
  get commit(): number | undefined {
    return this.#commit;
  }

  /** The newest committed frame of each page, frames counted from 1. */
  get frameByPgno(): ReadonlyMap<number, number> {
    return this.#frameByPgno;
  }

  /** Whether the WAL ends with a commit and not inside a frame or a transaction. */
  get endsWithCommit(): boolean {
    return this.#pendingBytes === 0 && this.#uncommitted.size === 0;
  }

  /** Throws `sqlite/invalid` for a header or frame that is not sound or belongs to another WAL. */
  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + this.#pending.length - this.#pendingBytes);
      this.#pending.set(part, this.#pendingBytes);
      this.#pendingBytes += part.length;
      this.#sizeBytes += part.length;
      at += part.length;
      if (this.#pendingBytes === this.#pending.length) this.#takePending();
    }
  }

  #takePending(): void {
    this.#pendingBytes = 0;
    if (this.#header !== undefined) {
      this.#takeFrame(this.#header);
      return;
    }
    this.#header = decodeWalHeader(this.#pending);
    const { checksumOrder, checksum1, checksum2, pageSize } = this.#header;
    this.#sum = new WalChecksum(checksumOrder, checksum1, checksum2);
    this.#pending = new Uint8Array(walFrameHeaderSizeBytes + pageSize);
  }

  #takeFrame({ salt1, salt2 }: WalHeader): void {
    const frame = decodeWalFrameHeader(this.#pending);
    this.#frames++;
    this.#sum.add(this.#pending.subarray(0, summedHeaderBytes));
    this.#sum.add(this.#pending.subarray(walFrameHeaderSizeBytes));
    if (frame.salt1 !== salt1 || frame.salt2 !== salt2) throw this.#invalid("has other salts");
    if (frame.checksum1 !== this.#sum.sum1 || frame.checksum2 !== this.#sum.sum2) {
      throw this.#invalid("does not match its checksum");
    }
    if (frame.pgno === 0) throw this.#invalid("names page 0");
    this.#uncommitted.set(frame.pgno, this.#frames);
    if (frame.commit === 0) return;
    for (const [pgno, number] of this.#uncommitted) this.#frameByPgno.set(pgno, number);
    this.#uncommitted.clear();
    this.#commit = frame.commit;
  }

  #invalid(why: string): HeadwaterError {
    return new HeadwaterError(
      "sqlite/invalid",
      `Frame ${this.#frames} of the WAL ${why}: the WAL is damaged, or made of parts of several.`,
      { data: { frame: this.#frames, pgno: viewOf(this.#pending).getUint32(0) } },
    );
  }
}
