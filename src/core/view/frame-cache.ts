// Decoded pages by the identity of their frame, in a fixed amount of memory. A frame never changes, so nothing here is ever
// out of date: it survives new views and serves views of different times at once.
//
// One thread writes; any number read, over shared memory if asked for, and nobody waits. A slot's state word says who is in
// it: n readers, or the writer. A reader that meets the writer has a miss; the writer passes by a slot with readers in it.
// So no byte is read while it is written, by the rules of JavaScript's memory model and not only by those of one processor.
//
// A frame can lie in two sets of 8 slots, which its identity names: no table has to be kept in step between threads. It goes
// where there is room, so the cache fills almost whole before anything goes. Then the clock decides: the hand takes the first
// slot without credit, and from the others one, in the set that has less of it. A page that was read has credit for one round;
// one that was not, for three: a scan reads thousands of pages ahead, and in some of the sets many of them meet.
import { assert } from "../base/assert.ts";
import type { FrameRef } from "./frame-table.ts";

/** Slots of a set. */
const waysPerSet = 8;
/** Bytes of a slot beside its page: file, offset (two halves), state, credit, marked, and its part of a hand. */
const slotOverheadBytes = 19;

/** `touch`: there, and marked: whoever reads it is about to need what was announced with the mark. Told once. */
export type FrameRead = "hit" | "touch" | "miss";

/** What `structuredClone` and `postMessage` carry. */
export interface SharedFrameCache {
  readonly buffer: ArrayBufferLike;
  readonly pageSize: number;
  readonly slotCount: number;
}

export interface FrameCacheOptions {
  readonly pageSize: number;
  /** All memory, bookkeeping included. At least one page. */
  readonly capacityBytes: number;
  readonly isShared?: boolean | undefined;
}

const writing = -1;

/** Rounds of a hand that a page survives. */
const credits = { unread: 3, read: 1 } as const;

export class FrameCache {
  readonly pageSize: number;
  /** Pages it can hold. */
  readonly slotCount: number;
  readonly #buffer: ArrayBufferLike;
  readonly #ways: number;
  readonly #setCount: number;
  /** Numbers of files plus one; 0 in an empty slot. */
  readonly #files: Uint32Array;
  readonly #offsetsLow: Uint32Array;
  readonly #offsetsHigh: Uint32Array;
  /** Readers in the slot, or `writing`. */
  readonly #states: Int32Array;
  readonly #credits: Uint8Array;
  readonly #marked: Uint8Array;
  /** One for each set. */
  readonly #hands: Uint8Array;
  readonly #pages: Uint8Array;

  private constructor({ buffer, pageSize, slotCount }: SharedFrameCache) {
    this.pageSize = pageSize;
    this.slotCount = slotCount;
    this.#buffer = buffer;
    this.#ways = Math.min(waysPerSet, slotCount);
    this.#setCount = slotCount / this.#ways;
    this.#files = new Uint32Array(buffer, 0, slotCount);
    this.#offsetsLow = new Uint32Array(buffer, 4 * slotCount, slotCount);
    this.#offsetsHigh = new Uint32Array(buffer, 8 * slotCount, slotCount);
    this.#states = new Int32Array(buffer, 12 * slotCount, slotCount);
    this.#credits = new Uint8Array(buffer, 16 * slotCount, slotCount);
    this.#marked = new Uint8Array(buffer, 17 * slotCount, slotCount);
    this.#hands = new Uint8Array(buffer, 18 * slotCount, this.#setCount);
    this.#pages = new Uint8Array(buffer, slotOverheadBytes * slotCount, slotCount * pageSize);
  }

  static create({ pageSize, capacityBytes, isShared = false }: FrameCacheOptions): FrameCache {
    const fitting = Math.floor(capacityBytes / (pageSize + slotOverheadBytes));
    const slotCount = fitting < waysPerSet ? fitting : fitting - (fitting % waysPerSet);
    assert(slotCount >= 1, "a frame cache has no room for one page");
    const sizeBytes = slotCount * (pageSize + slotOverheadBytes);
    const buffer = isShared ? new SharedArrayBuffer(sizeBytes) : new ArrayBuffer(sizeBytes);
    return new FrameCache({ buffer, pageSize, slotCount });
  }

  /** The same cache, over the same memory if it is shared. Only one thread may call `put`. */
  static fromShared(shared: SharedFrameCache): FrameCache {
    return new FrameCache(shared);
  }

  share(): SharedFrameCache {
    return { buffer: this.#buffer, pageSize: this.pageSize, slotCount: this.slotCount };
  }

  get sizeBytes(): number {
    return this.#buffer.byteLength;
  }

  /** Copies `into.length` bytes of the page, from byte `at` on. Leaves `into` alone on a miss. */
  read(frame: FrameRef, into: Uint8Array, at = 0): FrameRead {
    const slot = this.#find(frame);
    if (slot === -1 || !this.#enter(slot)) return "miss";
    // Before it was entered the slot could be given to another frame.
    const result = this.#holds(slot, frame) ? this.#readSlot(slot, into, at) : "miss";
    Atomics.sub(this.#states, slot, 1);
    return result;
  }

  /** Whether the frame is there. For the writer, which alone can rely on it until its next `put`. */
  has(frame: FrameRef): boolean {
    return this.#find(frame) !== -1;
  }

  /**
   * Whether the frame is there. If so it stays as long as one that has just been put, and with `isMarked` its next read is a
   * `touch`. For the writer.
   */
  renew(frame: FrameRef, { isMarked = false } = {}): boolean {
    const slot = this.#find(frame);
    if (slot === -1) return false;
    this.#credits[slot] = credits.unread;
    if (isMarked) this.#marked[slot] = 1;
    return true;
  }

  /**
   * Takes a page in, copied. With `isMarked` the first read of it is a `touch`. False if every slot it could lie in is
   * being read, which only a cache of a few pages can meet.
   */
  put(frame: FrameRef, page: Uint8Array, { isMarked = false } = {}): boolean {
    assert(page.length === this.pageSize, "a page of another size is put into a frame cache");
    // Bytes of a frame never change: what is there is right.
    if (this.renew(frame, { isMarked })) return true;
    const slot = this.#claimFor(frame);
    if (slot === -1) return false;
    this.#files[slot] = frame.file + 1;
    this.#offsetsLow[slot] = lowOf(frame.offset);
    this.#offsetsHigh[slot] = highOf(frame.offset);
    this.#pages.set(page, slot * this.pageSize);
    this.#credits[slot] = credits.unread;
    this.#marked[slot] = isMarked ? 1 : 0;
    Atomics.store(this.#states, slot, 0);
    return true;
  }

  /** For a reader that is in the slot. */
  #readSlot(slot: number, into: Uint8Array, at: number): FrameRead {
    const start = slot * this.pageSize + at;
    into.set(this.#pages.subarray(start, start + into.length));
    this.#credits[slot] = credits.read;
    if (this.#marked[slot] === 0) return "hit";
    return Atomics.exchange(this.#marked, slot, 0) === 0 ? "hit" : "touch";
  }

  /** Takes a reader in, unless the writer is there. */
  #enter(slot: number): boolean {
    for (;;) {
      const state = Atomics.load(this.#states, slot);
      if (state === writing) return false;
      if (Atomics.compareExchange(this.#states, slot, state, state + 1) === state) return true;
    }
  }

  /** A slot that the frame can lie in, entered by the writer; -1 if there are readers in all of them. */
  #claimFor(frame: FrameRef): number {
    const one = this.#setOf(frame, firstSeed);
    const other = this.#setOf(frame, secondSeed);
    const empty = this.#emptySlot(one, other);
    if (empty !== -1 && this.#enterAlone(empty)) return empty;
    // Pages that wait to be read meet in fewer sets so than if the sets took turns.
    const isFirst = this.#creditsIn(one) <= this.#creditsIn(other);
    const claimed = this.#claim(isFirst ? one : other);
    return claimed === -1 ? this.#claim(isFirst ? other : one) : claimed;
  }

  #creditsIn(set: number): number {
    let sum = 0;
    const end = (set + 1) * this.#ways;
    for (let slot = set * this.#ways; slot < end; slot++) sum += this.#credits[slot] ?? 0;
    return sum;
  }

  /** The first empty slot of the set that has more of them: two choices keep sets about equally full. */
  #emptySlot(one: number, other: number): number {
    const roomInOne = this.#roomIn(one);
    const roomInOther = this.#roomIn(other);
    if (roomInOne === 0 && roomInOther === 0) return -1;
    const set = roomInOne >= roomInOther ? one : other;
    return (set + 1) * this.#ways - Math.max(roomInOne, roomInOther);
  }

  /** Empty slots of a set. They are its last: a set is filled in order, and never emptied. */
  #roomIn(set: number): number {
    const end = (set + 1) * this.#ways;
    let room = 0;
    while (room < this.#ways && this.#files[end - 1 - room] === 0) room++;
    return room;
  }

  /** The slot of a full set whose turn it is. */
  #claim(set: number): number {
    const first = set * this.#ways;
    // So many rounds take every credit, the last but one finds a slot, and the last meets what readers left meanwhile.
    for (let step = 0; step < (credits.unread + 2) * this.#ways; step++) {
      const hand = this.#hands[set] ?? 0;
      const slot = first + hand;
      this.#hands[set] = (hand + 1) % this.#ways;
      const credit = this.#credits[slot] ?? 0;
      if (credit > 0) this.#credits[slot] = credit - 1;
      else if (this.#enterAlone(slot)) return slot;
    }
    return -1;
  }

  #enterAlone(slot: number): boolean {
    return Atomics.compareExchange(this.#states, slot, 0, writing) === 0;
  }

  #find(frame: FrameRef): number {
    const low = lowOf(frame.offset);
    const found = this.#findIn(this.#setOf(frame, firstSeed), frame, low);
    return found === -1 ? this.#findIn(this.#setOf(frame, secondSeed), frame, low) : found;
  }

  #findIn(set: number, frame: FrameRef, low: number): number {
    const first = set * this.#ways;
    for (let slot = first; slot < first + this.#ways; slot++) {
      if (this.#offsetsLow[slot] === low && this.#holds(slot, frame)) return slot;
    }
    return -1;
  }

  #holds(slot: number, { file, offset }: FrameRef): boolean {
    return (
      this.#files[slot] === file + 1 &&
      this.#offsetsLow[slot] === lowOf(offset) &&
      this.#offsetsHigh[slot] === highOf(offset)
    );
  }

  #setOf({ file, offset }: FrameRef, seed: number): number {
    const whole =
      lowOf(offset) ^ Math.imul(highOf(offset) + 1, seed) ^ Math.imul(file + 1, 0x9e37_79b1);
    const mixed = Math.imul(whole ^ (whole >>> 16), seed);
    const again = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
    return ((again ^ (again >>> 16)) >>> 0) % this.#setCount;
  }
}

/** Multipliers of the two hashes. */
const firstSeed = 0x85eb_ca6b;
const secondSeed = 0x27d4_eb2f;

/** The low 32 bits of an offset below 2^53. */
function lowOf(offset: number): number {
  return offset >>> 0;
}

function highOf(offset: number): number {
  return Math.floor(offset / 2 ** 32);
}
