// Which bytes to ask for: frames that lie near each other become one request. Pure.
//
// A gap is worth reading over while it costs less than a request: about latency x bandwidth / connections. At 20 ms a gap of
// 32 KiB was best; 256 KiB saved few requests and read three times the bytes.
import type { FrameRef } from "./frame-table.ts";

/** A frame and the page that it must hold. */
export interface WantedFrame {
  readonly pgno: number;
  readonly frame: FrameRef;
}

/** One ranged read. */
export interface FrameRequest<Wanted extends WantedFrame = WantedFrame> {
  readonly file: number;
  readonly offset: number;
  readonly length: number;
  /** By offset. */
  readonly frames: readonly Wanted[];
}

export interface RequestLimits {
  /** Unwanted bytes between two frames of one request. */
  readonly maxGapBytes: number;
  readonly maxRequestBytes: number;
}

export const requestDefaults: RequestLimits = Object.freeze({
  maxGapBytes: 32 * 1024,
  maxRequestBytes: 1024 * 1024,
});

/** By file and offset; each frame is in exactly one of them, and a frame larger than the limit has one to itself. */
export function planRequests<Wanted extends WantedFrame>(
  wanted: readonly Wanted[],
  { maxGapBytes, maxRequestBytes }: RequestLimits,
): readonly FrameRequest<Wanted>[] {
  const requests: { file: number; offset: number; length: number; frames: Wanted[] }[] = [];
  const ordered = wanted.toSorted(
    (a, b) => a.frame.file - b.frame.file || a.frame.offset - b.frame.offset,
  );
  for (const one of ordered) {
    const { file, offset, sizeBytes } = one.frame;
    const last = requests.at(-1);
    const isNear =
      last?.file === file &&
      offset - (last.offset + last.length) <= maxGapBytes &&
      offset + sizeBytes - last.offset <= maxRequestBytes;
    if (isNear) {
      last.frames.push(one);
      last.length = Math.max(last.length, offset + sizeBytes - last.offset);
    } else {
      requests.push({ file, offset, length: sizeBytes, frames: [one] });
    }
  }
  return requests;
}
