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

/** Bytes of the frame area: a file header and `maxPages` frames, and never less than one longest frame. */
export function frameAreaBytes(pageSize: number, maxPages: number): number {
  const frames = maxPages * (frameHeaderSizeBytes + blockBoundBytes(pageSize));
  return slackBytes + Math.max(frames, frameHeaderSizeBytes + maxBlockSizeBytes(pageSize));
}
