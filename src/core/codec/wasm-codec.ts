// The WebAssembly engine: owns the memory that `kernel.as.ts` works in, and lays it out.
import { assert } from "../base/assert.ts";
import type { Codec, PageKernel } from "./codec.ts";
import { toChecksum } from "./crc64.ts";
import { batchPageCount, frameAreaBytes, slackBytes } from "./kernel-areas.ts";
import { kernelBase64 } from "./kernel.generated.ts";

/** What the module exports; the addresses are of its memory. */
interface KernelExports {
  readonly init: (pageSize: number, zeros: number) => void;
  readonly reset: () => void;
  readonly hashBytes: (at: number, length: number) => void;
  readonly encodePages: (
    pgnos: number,
    pages: number,
    count: number,
    out: number,
    checksums: number,
  ) => number;
  readonly decodePages: (at: number, count: number, pages: number, checksums: number) => number;
  readonly hashPage: (head: number, headSize: number, page: number, checksum: number) => void;
  readonly checksumPages: (pgnos: number, pages: number, count: number, checksums: number) => void;
}

// Fixed addresses of kernel.as.ts.
const fileCrcAddress = 0x400;
const pagesXorAddress = 0x408;
/** From here on the memory is the host's. */
const hostAddress = 0x1_0000;

const wasmPageBytes = 0x1_0000;
/** Bytes that `hash` copies in at a time. */
const scratchBytes = 0x4000;
/** Kernels kept for reuse, per page size and batch. Making one costs half a millisecond and fresh memory. */
const maxIdleKernels = 8;

/** Throws where WebAssembly or its SIMD is missing or forbidden. */
export function openWasmCodec(): Codec {
  const module = new WebAssembly.Module(Uint8Array.from(atob(kernelBase64), toCode));
  const idleByShape = new Map<string, WasmKernel[]>();
  return {
    engine: "wasm",
    openKernel(pageSize, maxPages = batchPageCount(pageSize)) {
      const shape = `${pageSize}*${maxPages}`;
      const idle = idleByShape.get(shape) ?? [];
      idleByShape.set(shape, idle);
      const kernel = idle.pop() ?? new WasmKernel(module, { pageSize, maxPages, idle });
      kernel.restart();
      return kernel;
    },
  };
}

function toCode(character: string): number {
  return character.charCodeAt(0);
}

/** Where the areas of a kernel lie. Each is followed by room for copies that write too far. */
function layOut(pageSize: number, maxPages: number): Readonly<Record<Area | "end", number>> {
  const pgnos = hostAddress;
  const checksums = pgnos + 4 * maxPages + (maxPages % 2) * 4;
  const scratch = checksums + 8 * maxPages;
  const pages = scratch + scratchBytes;
  const frames = pages + maxPages * pageSize + slackBytes;
  return {
    pgnos,
    checksums,
    scratch,
    pages,
    frames,
    end: frames + frameAreaBytes(pageSize, maxPages) + slackBytes,
  };
}

interface KernelShape {
  readonly pageSize: number;
  readonly maxPages: number;
  /** Where the kernel goes when it is disposed. */
  readonly idle: WasmKernel[];
}

type Area = "pgnos" | "checksums" | "scratch" | "pages" | "frames";

class WasmKernel implements PageKernel {
  readonly pageSize: number;
  readonly maxPages: number;
  readonly pages: Uint8Array;
  readonly pgnos: Uint32Array;
  readonly checksums: BigUint64Array;
  readonly frames: Uint8Array;
  readonly #idle: WasmKernel[];
  readonly #exports: KernelExports;
  readonly #at: Readonly<Record<Area, number>>;
  readonly #scratch: Uint8Array;
  /** Running values: file CRC low, high; XOR of pages low, high. */
  readonly #running: Uint32Array;
  #isOpen = false;

  constructor(module: WebAssembly.Module, { pageSize, maxPages, idle }: KernelShape) {
    const at = layOut(pageSize, maxPages);
    const memory = new WebAssembly.Memory({ initial: Math.ceil(at.end / wasmPageBytes) });
    const { buffer } = memory;
    this.pageSize = pageSize;
    this.maxPages = maxPages;
    this.pages = new Uint8Array(buffer, at.pages, maxPages * pageSize);
    this.pgnos = new Uint32Array(buffer, at.pgnos, maxPages);
    this.checksums = new BigUint64Array(buffer, at.checksums, maxPages);
    this.frames = new Uint8Array(buffer, at.frames, frameAreaBytes(pageSize, maxPages));
    this.#scratch = new Uint8Array(buffer, at.scratch, scratchBytes);
    this.#running = new Uint32Array(buffer, fileCrcAddress, (pagesXorAddress - fileCrcAddress) / 2);
    this.#idle = idle;
    this.#at = at;
    this.#exports = instantiate(module, memory);
    this.#exports.init(pageSize, at.pages);
  }

  /** Takes the kernel into use: as good as new. */
  restart(): void {
    this.#isOpen = true;
    this.#exports.reset();
  }

  [Symbol.dispose](): void {
    assert(this.#isOpen, "a kernel is disposed twice");
    this.#isOpen = false;
    if (this.#idle.length < maxIdleKernels) this.#idle.push(this);
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
      this.#exports.hashBytes(this.#at.scratch, part.length);
    }
  }

  encodePages(count: number, at: number): number {
    const { pgnos, pages, frames, checksums } = this.#at;
    return this.#exports.encodePages(pgnos, pages, count, frames + at, checksums) - frames;
  }

  decodePages(count: number, at: number): number {
    const { pages, frames, checksums } = this.#at;
    return this.#exports.decodePages(frames + at, count, pages, checksums);
  }

  hashPage(index: number, at: number, headerSize: number): void {
    const { pages, frames, checksums } = this.#at;
    const page = pages + index * this.pageSize;
    this.#exports.hashPage(frames + at, headerSize, page, checksums + 8 * index);
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
