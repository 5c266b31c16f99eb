// Page indexes with the kernel: its memory, as long as one index and its columns need it.
import { type IndexReading, indexProblem, minEntryBytes } from "./index-columns.ts";

/** `readIndex` of page-index.as.ts. All but the limit and the count are addresses. */
export type ReadIndex = (
  at: number,
  end: number,
  limit: bigint,
  pgnos: number,
  offsetsLow: number,
  sizes: number,
  offsetsHigh: number,
) => number;

/** What page-index.as.ts tells, at these addresses. */
const found = { stop: 0x410, problem: 0x414, pgno: 0x418, smallest: 0x420, largest: 0x424 };

const wasmPageBytes = 0x1_0000;
/** The module asks for no less. */
const minWasmPages = 2;
/** Kept for the next index. */
const maxKeptBytes = 4 * 1024 * 1024;

interface Instance {
  readonly memory: WebAssembly.Memory;
  readonly readIndex: ReadIndex;
}

export class WasmIndexReader {
  readonly #instantiate: (memory: WebAssembly.Memory) => ReadIndex;
  /** From here on its memory is the host's. */
  readonly #hostAddress: number;
  #kept: Instance | undefined;

  constructor(instantiate: (memory: WebAssembly.Memory) => ReadIndex, hostAddress: number) {
    this.#instantiate = instantiate;
    this.#hostAddress = hostAddress;
  }

  read(bytes: Uint8Array, limitBytes: number): IndexReading {
    const rows = Math.floor(bytes.length / minEntryBytes);
    const pgnos = this.#hostAddress;
    const offsetsLow = pgnos + 4 * rows;
    const sizes = offsetsLow + 4 * rows;
    const offsetsHigh = sizes + 4 * rows;
    const at = offsetsHigh + 2 * rows;
    const end = at + bytes.length;
    const { memory, readIndex } = this.#reserve(end);
    const { buffer } = memory;
    new Uint8Array(buffer, at).set(bytes);
    const limit = BigInt(limitBytes);
    const count = readIndex(at, end, limit, pgnos, offsetsLow, sizes, offsetsHigh);
    const view = new DataView(buffer);
    const word = (address: number): number => view.getUint32(address, true);
    return {
      count,
      pgnos: new Uint32Array(buffer, pgnos, count).slice(),
      offsetsLow: new Uint32Array(buffer, offsetsLow, count).slice(),
      offsetsHigh: new Uint16Array(buffer, offsetsHigh, count).slice(),
      sizes: new Uint32Array(buffer, sizes, count).slice(),
      smallestBytes: word(found.smallest),
      largestBytes: word(found.largest),
      endAt: word(found.stop) - at,
      problem: indexProblem(word(found.problem), view.getFloat64(found.pgno, true)),
    };
  }

  #reserve(sizeBytes: number): Instance {
    const kept = this.#kept;
    if (kept !== undefined && kept.memory.buffer.byteLength >= sizeBytes) return kept;
    const initial = Math.max(minWasmPages, Math.ceil(sizeBytes / wasmPageBytes));
    const memory = new WebAssembly.Memory({ initial });
    const made = { memory, readIndex: this.#instantiate(memory) };
    if (sizeBytes <= maxKeptBytes) this.#kept = made;
    return made;
  }
}
