// Reads pages from where they are now (memory, a frame of the WAL, the database file), neighbours in one go.
import { must } from "../../core/base/assert.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import {
  decodeWalFrameHeader,
  walFrameHeaderSizeBytes,
  walFrameOffset,
} from "../../core/sqlite/wal.ts";
import type { DatabaseFiles } from "./database-files.ts";

/** Where a page's image is: bytes in memory, a frame number of the WAL, or 0 for the database file. */
export type PagePlace = Uint8Array | number;
export const databasePlace = 0;

/** A generation of the WAL. */
interface Salts {
  readonly salt1: number;
  readonly salt2: number;
}

export interface PagesToRead {
  readonly pgnos: Uint32Array;
  readonly from: number;
  readonly count: number;
  readonly placeOf: (pgno: number) => PagePlace;
  /** The generation that frame numbers belong to. */
  readonly salts: Salts;
}

const scratchSizeBytes = 1 << 20;
/** Used within one call at a time, so that a thousand attachments need no megabyte each. */
let sharedScratch: Uint8Array | undefined;

/** Reads pages of one attachment. */
export class PageReader {
  readonly #files: DatabaseFiles;
  readonly #scratch: Uint8Array;

  constructor(files: DatabaseFiles) {
    this.#files = files;
    const frameSizeBytes = walFrameHeaderSizeBytes + files.pageSize;
    const frames = Math.max(1, Math.floor(scratchSizeBytes / frameSizeBytes));
    sharedScratch ??= new Uint8Array(scratchSizeBytes);
    this.#scratch = sharedScratch.subarray(0, frames * frameSizeBytes);
  }

  /** Fills `into` with `count` pages. Throws `capture/gap` if a frame is no longer the one that was captured. */
  read(request: PagesToRead, into: Uint8Array): void {
    const { pgnos, from, count, placeOf } = request;
    const { pageSize } = this.#files;
    const pgnoAt = (i: number): number => must(pgnos[from + i], "page number");
    for (let i = 0; i < count;) {
      const pgno = pgnoAt(i);
      const place = placeOf(pgno);
      if (typeof place !== "number") {
        into.set(place, i * pageSize);
        i++;
        continue;
      }
      // The run of pages whose images follow each other in the same file.
      let run = 1;
      if (place === databasePlace) {
        while (i + run < count && pgnoAt(i + run) === pgno + run) {
          if (placeOf(pgno + run) !== databasePlace) break;
          run++;
        }
        const target = into.subarray(i * pageSize, (i + run) * pageSize);
        this.#files.readDatabasePages(pgno, target);
      } else {
        const limit = this.#scratch.length / (walFrameHeaderSizeBytes + pageSize);
        while (run < limit && i + run < count && placeOf(pgnoAt(i + run)) === place + run) run++;
        this.#readFrames(request, { first: place, index: i, count: run }, into);
      }
      i += run;
    }
  }

  #readFrames(
    { pgnos, from, salts }: PagesToRead,
    run: { readonly first: number; readonly index: number; readonly count: number },
    into: Uint8Array,
  ): void {
    const { pageSize, path } = this.#files;
    const frameSizeBytes = walFrameHeaderSizeBytes + pageSize;
    const bytes = this.#scratch.subarray(0, run.count * frameSizeBytes);
    const read = this.#files.readWal(bytes, walFrameOffset(run.first, pageSize));
    for (let k = 0; k < run.count; k++) {
      const at = k * frameSizeBytes;
      const pgno = must(pgnos[from + run.index + k], "page number");
      if (read >= at + frameSizeBytes) {
        const frame = decodeWalFrameHeader(bytes, at);
        // Salts differ in every generation, and committed frames are never rewritten within one.
        if (frame.pgno === pgno && frame.salt1 === salts.salt1 && frame.salt2 === salts.salt2) {
          const page = bytes.subarray(at + walFrameHeaderSizeBytes, at + frameSizeBytes);
          into.set(page, (run.index + k) * pageSize);
          continue;
        }
      }
      throw new HeadwaterError(
        "capture/gap",
        `Frame ${run.first + k} in the WAL of ${path} was overwritten before page ${pgno} was read from it. ` +
          "Capture compares the whole database next.",
        { data: { frame: run.first + k, pgno } },
      );
    }
  }
}
