// A page index as columns: what either engine makes of its bytes, and how the one without WebAssembly does (the other is
// page-index.as.ts). Of numbers in arrays, because a replica's is read before its first row, and has an entry for every page.
// Format: docs/formats/ltx.md, "Page index".

/** The entries of an index, one row each, in ascending order of page numbers and offsets. */
export interface IndexColumns {
  readonly count: number;
  readonly pgnos: Uint32Array;
  /** Where frames begin, below 2^48: the low 32 bits, and those above. */
  readonly offsetsLow: Uint32Array;
  readonly offsetsHigh: Uint16Array;
  readonly sizes: Uint32Array;
  /** The sizes of the smallest and the largest frame; of an empty index 2^32 - 1 and 0. */
  readonly smallestBytes: number;
  readonly largestBytes: number;
}

/** Columns, and how far they could be read. */
export interface IndexReading extends IndexColumns {
  /** Behind the zero that ends the entries, or at what is wrong. */
  readonly endAt: number;
  readonly problem: string | undefined;
}

/** Fewest bytes of an entry. */
export const minEntryBytes = 3;

/** Longest varint: offsets and more, up to 2^53. */
const maxVarintBytes = 8;
const maxOffset = 2 ** 48;
const twoTo32 = 2 ** 32;

/** What can be wrong with an index, as page-index.as.ts numbers it. */
const problems = { none: 0, noEnd: 1, malformed: 2, misplaced: 3 } as const;

/** The same in words, `undefined` for nothing. */
export function indexProblem(kind: number, pgno: number): string | undefined {
  switch (kind) {
    case problems.noEnd:
      return "the page index has no end";
    case problems.malformed:
      return "the page index holds a malformed number";
    case problems.misplaced:
      return `the page index entry of page ${pgno} is out of place`;
    default:
      return undefined;
  }
}

/** `Codec.readIndex` in TypeScript. */
export function readIndexColumns(bytes: Uint8Array, limitBytes: number): IndexReading {
  const rows = Math.floor(bytes.length / minEntryBytes);
  const pgnos = new Uint32Array(rows);
  const offsetsLow = new Uint32Array(rows);
  const offsetsHigh = new Uint16Array(rows);
  const sizes = new Uint32Array(rows);
  const varints = new VarintReader(bytes);
  let count = 0;
  let lastPgno = 0;
  let lastEnd = 0;
  let smallestBytes = twoTo32 - 1;
  let largestBytes = 0;
  let problem: string | undefined;
  let endAt = 0;
  for (;;) {
    endAt = varints.at;
    const pgno = varints.next();
    const isLast = pgno === 0;
    const offset = isLast ? 0 : varints.next();
    const sizeBytes = isLast ? 0 : varints.next();
    if (isLast || varints.kind !== problems.none) {
      endAt = varints.at;
      problem = indexProblem(varints.kind, pgno);
      break;
    }
    const isPlaced =
      pgno > lastPgno &&
      pgno < twoTo32 &&
      sizeBytes < twoTo32 &&
      offset >= lastEnd &&
      offset < maxOffset &&
      offset + sizeBytes <= limitBytes;
    if (!isPlaced) {
      problem = indexProblem(problems.misplaced, pgno);
      break;
    }
    pgnos[count] = pgno;
    offsetsLow[count] = offset >>> 0;
    offsetsHigh[count] = offset / twoTo32;
    sizes[count] = sizeBytes;
    smallestBytes = Math.min(smallestBytes, sizeBytes);
    largestBytes = Math.max(largestBytes, sizeBytes);
    count++;
    lastPgno = pgno;
    lastEnd = offset + sizeBytes;
  }
  return {
    count,
    pgnos: pgnos.slice(0, count),
    offsetsLow: offsetsLow.slice(0, count),
    offsetsHigh: offsetsHigh.slice(0, count),
    sizes: sizes.slice(0, count),
    smallestBytes,
    largestBytes,
    endAt,
    problem,
  };
}

/** Reads varints in shortest form one after the other. From the first that is none on it gives 0. */
class VarintReader {
  /** Where the next one begins, or the one that is none. */
  at = 0;
  /** One of `problems`. */
  kind: number = problems.none;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  next(): number {
    if (this.kind !== problems.none) return 0;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < maxVarintBytes; i++, scale *= 128) {
      const byte = this.#bytes[this.at + i];
      if (byte === undefined) return this.#refuse(problems.noEnd);
      value += (byte & 0x7f) * scale;
      if (byte >= 0x80) continue;
      if ((byte === 0 && i > 0) || !Number.isSafeInteger(value)) break;
      this.at += i + 1;
      return value;
    }
    return this.#refuse(problems.malformed);
  }

  #refuse(kind: number): number {
    this.kind = kind;
    return 0;
  }
}
