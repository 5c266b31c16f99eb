// Sizes of a kernel's areas. A batch is about what a core's second-level cache holds; more gains nothing.

const batchBytes = 256 * 1024;
const maxBatchPages = 256;
const minBatchPages = 4;

/** Bytes of a frame header with a size field: page number, flags, size. */
export const frameHeaderSizeBytes = 10;

/** Bytes after an area that a careless wide copy may overwrite. */
export const slackBytes = 256;

/** Pages per call for a page size. */
export function batchPageCount(pageSize: number): number {
  return Math.max(minBatchPages, Math.min(maxBatchPages, Math.floor(batchBytes / pageSize)));
}

/** Longest LZ4 block our encoder makes of `length` bytes: one literal run. */
export function blockBoundBytes(length: number): number {
  return length + Math.floor(length / 255) + 16;
}

/** Longest block a decoder accepts. Twice the bound would still be kind to odd encoders. */
export function maxBlockSizeBytes(pageSize: number): number {
  return 2 * pageSize + 64;
}

/** Memory for the frames of several kernels together, unless that is less than a frame for each. */
const sharedFrameBytes = 4 * 1024 * 1024;

/** Bytes of the frame area of a kernel alone: a file header and `maxPages` frames, and never less than one longest frame. */
export function frameAreaBytes(pageSize: number, maxPages: number): number {
  const frames = maxPages * (frameHeaderSizeBytes + blockBoundBytes(pageSize));
  return slackBytes + Math.max(frames, frameHeaderSizeBytes + maxBlockSizeBytes(pageSize));
}

/** Bytes of the frame area of each of `count` kernels: never more than one alone has, or less than one longest frame. */
export function sharedFrameAreaBytes(pageSize: number, count: number): number {
  const share = Math.floor(sharedFrameBytes / count / 64) * 64;
  const most = frameAreaBytes(pageSize, batchPageCount(pageSize));
  return Math.min(most, Math.max(share, frameAreaBytes(pageSize, 0)));
}
