// Every page of the database at one captured position, while writers go on. The guard keeps the frames up to the
// position in the WAL and keeps anything newer out of the database file; nothing is copied before it is read.
import { must } from "../../core/base/assert.ts";
import type { CapturePosition, PageSource } from "./capture-types.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { gap, type Tracker } from "./tracker.ts";

/** An image at the tracker's position, to which everything up to R's guard must have been noted. */
export class PinnedImage implements PageSource {
  readonly #files: DatabaseFiles;
  readonly #tracker: Tracker;
  readonly #frameByPgno: ReadonlyMap<number, number>;
  readonly #isInFile: boolean;
  readonly #onRelease: () => void;
  #isReleased = false;

  readonly pageSize: number;
  readonly commit: number;
  readonly position: CapturePosition;

  constructor(files: DatabaseFiles, tracker: Tracker, onRelease: () => void) {
    this.#files = files;
    this.#tracker = tracker;
    this.#onRelease = onRelease;
    this.pageSize = files.pageSize;
    this.commit = tracker.pending.commit;
    this.position = tracker.position;
    // Then all of it is in the database file, and the frames may be overwritten by the next generation.
    this.#isInFile = tracker.mayRestart && tracker.tailFrames === 0;
    this.#frameByPgno = this.#isInFile ? new Map() : newestFrames(files, this.position.frame);
  }

  readPages(pgnos: Uint32Array, from: number, count: number, into: Uint8Array): void {
    if (this.#isReleased) throw gap(this.#files.path, "the image had been released");
    this.#tracker.reader.read(
      {
        pgnos,
        from,
        count,
        placeOf: (pgno) => this.#frameByPgno.get(pgno) ?? 0,
        salts: this.position,
      },
      into,
    );
    // After the read: whatever it saw was still in place then.
    this.#check();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#onRelease();
  }

  /** Throws if a checkpoint passed the position, which the guard makes impossible while SQLite's locks hold. */
  #check(): void {
    const index = this.#files.readIndex();
    if (index === undefined) return;
    const { salt1, salt2, frame } = this.position;
    const isSameGeneration = index.salt1 === salt1 && index.salt2 === salt2;
    const isIntact = isSameGeneration
      ? index.backfilledFrames <= frame
      : this.#isInFile && index.backfilledFrames === 0;
    if (!isIntact) throw gap(this.#files.path, "a checkpoint passed the pinned image");
  }
}

function newestFrames(files: DatabaseFiles, lastFrame: number): ReadonlyMap<number, number> {
  const frameByPgno = new Map<number, number>();
  const pgnos = files.readFramePgnos(1, lastFrame);
  for (let i = 0; i < pgnos.length; i++) {
    frameByPgno.set(must(pgnos[i], "page number of a frame"), i + 1);
  }
  return frameByPgno;
}
