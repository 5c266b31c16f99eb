// SQL values and what goes with them as bytes in shared memory, for two threads that hand each other small things faster than
// by messages. Both ends are this file of one version: nothing is stored, nothing is checked. Integers are little-endian.
import { viewOf } from "../base/bytes.ts";
import type { SqlValue } from "./sql-values.ts";

const tags = { null: 0, integer: 1, double: 2, bigint: 3, text: 4, blob: 5 } as const;

/** UTF-8 takes no more for each UTF-16 unit. */
const maxBytesPerUnit = 3;

const encoder = new TextEncoder();
/** A byte order mark is a character like any other. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Writes one thing after the other; what does not fit any more makes all of it `isFull`. */
export class ValueWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #isFull = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** Begins anew. */
  restart(): void {
    this.#at = 0;
    this.#isFull = false;
  }

  uint32(value: number): void {
    const at = this.#reserve(4);
    if (at !== undefined) this.#view.setUint32(at, value, true);
  }

  text(text: string): void {
    const at = this.#reserve(4 + maxBytesPerUnit * text.length);
    if (at === undefined) return;
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(at + 4));
    this.#view.setUint32(at, written, true);
    this.#at = at + 4 + written;
  }

  value(value: SqlValue): void {
    if (value === null) {
      this.#tag(tags.null);
    } else if (typeof value === "number") {
      const isSmall = (value | 0) === value && !Object.is(value, -0);
      this.#tag(isSmall ? tags.integer : tags.double);
      if (isSmall) this.uint32(value);
      else this.#double(value);
    } else if (typeof value === "string") {
      this.#tag(tags.text);
      this.text(value);
    } else if (typeof value === "bigint") {
      this.#tag(tags.bigint);
      const at = this.#reserve(8);
      if (at !== undefined) this.#view.setBigInt64(at, value, true);
    } else {
      this.#tag(tags.blob);
      this.uint32(value.length);
      const at = this.#reserve(value.length);
      if (at !== undefined) this.#bytes.set(value, at);
    }
  }

  #double(value: number): void {
    const at = this.#reserve(8);
    if (at !== undefined) this.#view.setFloat64(at, value, true);
  }

  #tag(tag: number): void {
    const at = this.#reserve(1);
    if (at !== undefined) this.#bytes[at] = tag;
  }

  #reserve(sizeBytes: number): number | undefined {
    const at = this.#at;
    if (this.#isFull || at + sizeBytes > this.#bytes.length) {
      this.#isFull = true;
      return undefined;
    }
    this.#at = at + sizeBytes;
    return at;
  }
}

/** Texts that a reader remembers, a power of two, and the longest of them. */
const knownTexts = 256;
const maxKnownBytes = 128;

interface KnownText {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Reads it again, in the same order. Everything is copied. */
export class ValueReader {
  readonly #known: (KnownText | undefined)[] = Array.from({ length: knownTexts }, () => undefined);
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  restart(): void {
    this.#at = 0;
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }

  text(): string {
    const length = this.uint32();
    const at = this.#skip(length);
    if (length === 0) return "";
    if (length > maxKnownBytes) return this.#decode(at, length);
    return this.#knownText(at, length);
  }

  value(): SqlValue {
    const tag = this.#view.getUint8(this.#skip(1));
    switch (tag) {
      case tags.null:
        return null;
      case tags.integer:
        return this.#view.getInt32(this.#skip(4), true);
      case tags.double:
        return this.#view.getFloat64(this.#skip(8), true);
      case tags.bigint:
        return this.#view.getBigInt64(this.#skip(8), true);
      case tags.text:
        return this.text();
      case tags.blob:
        return this.#copy();
      default:
        throw new Error(`Headwater bug: a value in shared memory has the tag ${tag}`);
    }
  }

  /** Statements and names of columns come again and again, and to compare is cheaper than to decode. */
  #knownText(at: number, length: number): string {
    let hash = length;
    for (let i = at; i < at + length; i++)
      hash = Math.imul(hash ^ (this.#bytes[i] ?? 0), 0x0100_0193);
    const slot = (hash ^ (hash >>> 15)) & (knownTexts - 1);
    const known = this.#known[slot];
    if (known !== undefined && this.#isAt(at, length, known.bytes)) return known.text;
    const text = this.#decode(at, length);
    this.#known[slot] = { bytes: this.#bytes.slice(at, at + length), text };
    return text;
  }

  #isAt(at: number, length: number, bytes: Uint8Array): boolean {
    if (bytes.length !== length) return false;
    for (let i = 0; i < length; i++) if (bytes[i] !== this.#bytes[at + i]) return false;
    return true;
  }

  #decode(at: number, length: number): string {
    // Shared memory is nothing that a decoder takes.
    return decoder.decode(this.#bytes.slice(at, at + length));
  }

  #copy(): Uint8Array {
    const length = this.uint32();
    const at = this.#skip(length);
    return this.#bytes.slice(at, at + length);
  }

  #skip(sizeBytes: number): number {
    const at = this.#at;
    this.#at += sizeBytes;
    return at;
  }
}
