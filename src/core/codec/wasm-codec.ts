// The WebAssembly engine: owns the memory that `kernel.as.ts` works in, and lays it out.
import { assert } from "../base/assert.ts";
import type { Codec, PageKernel } from "./codec.ts";
import { toChecksum } from "./crc64.ts";
import {
  batchPageCount,
  frameAreaBytes,
  sharedFrameAreaBytes,
  slackBytes,
} from "./kernel-areas.ts";
import { kernelBase64 } from "./kernel.generated.ts";
import { type ReadIndex, WasmIndexReader } from "./wasm-index.ts";

/** What the module exports. All but counts, lengths and sizes are addresses of its memory; `file` is that of running values. */
interface KernelExports {
  readonly init: (pageSize: number, zeros: number) => void;
  readonly reset: (file: number) => void;
  readonly hashBytes: (file: number, at: number, length: number) => void;
  readonly encodePages: (
    file: number,
    pgnos: number,
    pages: number,
    count: number,
    out: number,
    checksums: number,
    contents: number,
  ) => number;
  readonly decodePages: (
    file: number,
    at: number,
    count: number,
    pages: number,
    checksums: number,
    contents: number,
  ) => number;
  readonly hashPage: (
    file: number,
    head: number,
    headSize: number,
    page: number,
    checksum: number,
    content: number,
  ) => void;
  readonly hashFrames: (file: number, at: number, count: number, contents: number) => void;
  readonly checksumPages: (pgnos: number, pages: number, count: number, checksums: number) => void;
  readonly readIndex: ReadIndex;
}

/** From here on the memory of kernel.as.ts is the host's. */
const hostAddress = 0x1_0000;

const wasmPageBytes = 0x1_0000;
/** Bytes of a file's running values: raw CRC, XOR of pages. */
const fileBytes = 16;
/** Bytes that `hash` copies in at a time. */
const scratchBytes = 0x4000;
/** Kernels kept for reuse, per page size. Making one costs half a millisecond and fresh memory. */
const maxIdleKernels = 8;

/** Throws where WebAssembly or its SIMD is missing or forbidden. */
export function openWasmCodec(): Codec {
  const module = new WebAssembly.Module(Uint8Array.from(atob(kernelBase64), toCode));
  const idleByPageSize = new Map<number, WasmKernel[]>();
  const openKernel = (pageSize: number): PageKernel => {
    const idle = idleByPageSize.get(pageSize) ?? [];
    idleByPageSize.set(pageSize, idle);
    const kernel = idle.pop() ?? makeKernel(module, pageSize, idle);
    kernel.restart();
    return kernel;
  };
  const indexes = new WasmIndexReader(
    (memory) => instantiate(module, memory).readIndex,
    hostAddress,
  );
  return {
    engine: "wasm",
    readIndex: (bytes, limitBytes) => indexes.read(bytes, limitBytes),
    openKernel,
    openKernels(pageSize, count) {
      // So few are at hand, as a rule.
      if (count <= maxIdleKernels) return Array.from({ length: count }, () => openKernel(pageSize));
      const bytes = sharedFrameAreaBytes(pageSize, count);
      const memory = new KernelMemory(module, { pageSize, files: count, frameAreaBytes: bytes });
      return Array.from({ length: count }, (_, index) => {
        const kernel = new WasmKernel(memory, index);
        kernel.restart();
        return kernel;
      });
    },
  };
}

function makeKernel(module: WebAssembly.Module, pageSize: number, idle: WasmKernel[]): WasmKernel {
  const bytes = frameAreaBytes(pageSize, batchPageCount(pageSize));
  const memory = new KernelMemory(module, { pageSize, files: 1, frameAreaBytes: bytes });
  return new WasmKernel(memory, 0, idle);
}

function toCode(character: string): number {
  return character.charCodeAt(0);
}

type Area = "pgnos" | "checksums" | "contents" | "files" | "scratch" | "pages" | "frames" | "end";

interface MemoryShape {
  readonly pageSize: number;
  /** Files that are at work at once. */
  readonly files: number;
  /** For each of them. */
  readonly frameAreaBytes: number;
}

/** One instance of the module: its memory, and where the areas lie in it. */
class KernelMemory {
  readonly shape: MemoryShape;
  readonly maxPages: number;
  readonly exports: KernelExports;
  readonly at: Readonly<Record<Area, number>>;
  readonly buffer: ArrayBuffer;
  readonly pages: Uint8Array;
  readonly pgnos: Uint32Array;
  readonly checksums: BigUint64Array;
  readonly contentCrcs: BigUint64Array;
  readonly scratch: Uint8Array;

  constructor(module: WebAssembly.Module, shape: MemoryShape) {
    const { pageSize } = shape;
    this.shape = shape;
    const maxPages = batchPageCount(pageSize);
    const at = layOut(shape, maxPages);
    const memory = new WebAssembly.Memory({ initial: Math.ceil(at.end / wasmPageBytes) });
    const { buffer } = memory;
    this.maxPages = maxPages;
    this.at = at;
    this.buffer = buffer;
    this.pages = new Uint8Array(buffer, at.pages, maxPages * pageSize);
    this.pgnos = new Uint32Array(buffer, at.pgnos, maxPages);
    this.checksums = new BigUint64Array(buffer, at.checksums, maxPages);
    this.contentCrcs = new BigUint64Array(buffer, at.contents, maxPages);
    this.scratch = new Uint8Array(buffer, at.scratch, scratchBytes);
    this.exports = instantiate(module, memory);
    this.exports.init(pageSize, at.pages);
  }
}

/** Pages and frames are followed by room for copies that write too far. */
function layOut(shape: MemoryShape, maxPages: number): Readonly<Record<Area, number>> {
  const checksums = hostAddress;
  const contents = checksums + 8 * maxPages;
  const files = contents + 8 * maxPages;
  const pgnos = files + fileBytes * shape.files;
  const scratch = pgnos + 4 * maxPages;
  const pages = scratch + scratchBytes;
  const frames = pages + maxPages * shape.pageSize + slackBytes;
  const end = frames + shape.files * (shape.frameAreaBytes + slackBytes);
  return { checksums, contents, files, pgnos, scratch, pages, frames, end };
}

class WasmKernel implements PageKernel {
  readonly pageSize: number;
  readonly maxPages: number;
  readonly pages: Uint8Array;
  readonly pgnos: Uint32Array;
  readonly checksums: BigUint64Array;
  readonly contentCrcs: BigUint64Array;
  readonly frames: Uint8Array;
  /** Where it goes when it is disposed. One of several goes with the others. */
  readonly #idle: WasmKernel[] | undefined;
  readonly #exports: KernelExports;
  readonly #at: Readonly<Record<Area, number>>;
  readonly #scratch: Uint8Array;
  /** Addresses of this file's part. */
  readonly #file: number;
  readonly #frames: number;
  /** Running values: file CRC low, high; XOR of pages low, high. */
  readonly #running: Uint32Array;
  #isOpen = false;

  constructor(memory: KernelMemory, index: number, idle?: WasmKernel[]) {
    const { at, buffer, shape } = memory;
    this.pageSize = shape.pageSize;
    this.maxPages = memory.maxPages;
    this.pages = memory.pages;
    this.pgnos = memory.pgnos;
    this.checksums = memory.checksums;
    this.contentCrcs = memory.contentCrcs;
    this.#file = at.files + index * fileBytes;
    this.#frames = at.frames + index * (shape.frameAreaBytes + slackBytes);
    this.frames = new Uint8Array(buffer, this.#frames, shape.frameAreaBytes);
    this.#running = new Uint32Array(buffer, this.#file, fileBytes / 4);
    this.#idle = idle;
    this.#at = at;
    this.#scratch = memory.scratch;
    this.#exports = memory.exports;
  }

  /** Takes the kernel into use: as good as new. */
  restart(): void {
    this.#isOpen = true;
    this.#exports.reset(this.#file);
  }

  [Symbol.dispose](): void {
    assert(this.#isOpen, "a kernel is disposed twice");
    this.#isOpen = false;
    if (this.#idle !== undefined && this.#idle.length < maxIdleKernels) this.#idle.push(this);
  }

  get fileChecksum(): bigint {
    const [lo = 0, hi = 0] = this.#running;
    return toChecksum(~hi, ~lo);
  }

  get pagesChecksum(): bigint {
    const [, , lo = 0, hi = 0] = this.#running;
    return toChecksum(hi, lo);
  }

  hash(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; done += scratchBytes) {
      const part = bytes.subarray(done, done + scratchBytes);
      this.#scratch.set(part);
      this.#exports.hashBytes(this.#file, this.#at.scratch, part.length);
    }
  }

  encodePages(count: number, at: number): number {
    const { pgnos, pages, checksums, contents } = this.#at;
    const out = this.#frames + at;
    const end = this.#exports.encodePages(
      this.#file,
      pgnos,
      pages,
      count,
      out,
      checksums,
      contents,
    );
    return end - this.#frames;
  }

  decodePages(count: number, at: number): number {
    const { pages, checksums, contents } = this.#at;
    const from = this.#frames + at;
    return this.#exports.decodePages(this.#file, from, count, pages, checksums, contents);
  }

  hashPage(index: number, at: number, headerSize: number): void {
    const { checksums, contents } = this.#at;
    const page = this.#at.pages + index * this.pageSize;
    const head = this.#frames + at;
    const [checksum, content] = [checksums + 8 * index, contents + 8 * index];
    this.#exports.hashPage(this.#file, head, headerSize, page, checksum, content);
  }

  hashFrames(count: number, at: number): void {
    this.#exports.hashFrames(this.#file, this.#frames + at, count, this.#at.contents);
  }

  checksumPages(count: number): void {
    const { pgnos, pages, checksums } = this.#at;
    this.#exports.checksumPages(pgnos, pages, count, checksums);
  }
}

function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): KernelExports {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  // The module is ours, built from kernel.as.ts; a test compares it with its source.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return exports as unknown as KernelExports;
}
