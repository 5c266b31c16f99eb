// The pages that every reader of a replica needs first, in one object: the schema, and the pages above the leaves of each
// b-tree. They lie scattered over the files; fetched one by one they cost a reader a hundred requests.
//
// What it holds are frames as they stand in their files, each under the name of its file, that object's version and its offset.
// A reader takes a frame only where its own map leads to that very frame, so an object that is behind the replica is less
// use, and never wrong. Format: docs/formats/hot-pages.md.
import { toHex64, viewOf } from "../base/bytes.ts";
import { isPageSize } from "../base/page.ts";
import type { Codec } from "../codec/codec.ts";
import { type Txid, formatTxid, toTxid } from "../ltx/txid.ts";

/** The prefix of these objects. */
export const hotPagesPrefix = "hot-pages/";

/** "HWHP" */
const magic = 0x4857_4850;
const version = 1;

/** Where each field lies: [offset, size] in bytes. All integers are big-endian. Files, frames and `seal` follow. */
export const hotPagesLayout = {
  magic: [0, 4],
  version: [4, 4],
  pageSize: [8, 4],
  fileCount: [12, 4],
  frameCount: [16, 4],
  txid: [20, 8],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

const headerSizeBytes = 28;
/** Lengths of key and etag. */
const fileHeadSizeBytes = 4;
/** Number of the file, size, offset. */
const frameHeadSizeBytes = 16;
const sealSizeBytes = 8;

/** One frame, as it stands in its file. */
export interface HotFrame {
  /** Key and version of the file, as its writer's store names them. */
  readonly key: string;
  readonly etag: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface HotPages {
  /** The state whose pages they are. */
  readonly txid: Txid;
  readonly pageSize: number;
  readonly frames: readonly HotFrame[];
}

/** The bytes, and the key that only these bytes have. Copied. */
export function encodeHotPages(
  codec: Codec,
  { txid, pageSize, frames }: HotPages,
): { readonly key: string; readonly bytes: Uint8Array<ArrayBuffer> } {
  const names = [...new Set(frames.map(nameOf))];
  const encoder = new TextEncoder();
  const files = names.map((name) => name.split("\n").map((part) => encoder.encode(part)));
  const filesBytes = files
    .flat()
    .reduce((sum, part) => sum + part.length, fileHeadSizeBytes * files.length);
  const framesBytes = frames.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const headBytes = headerSizeBytes + filesBytes + frameHeadSizeBytes * frames.length;
  const all = new Uint8Array(headBytes + framesBytes + sealSizeBytes);
  const view = viewOf(all);
  view.setUint32(hotPagesLayout.magic[0], magic);
  view.setUint32(hotPagesLayout.version[0], version);
  view.setUint32(hotPagesLayout.pageSize[0], pageSize);
  view.setUint32(hotPagesLayout.fileCount[0], files.length);
  view.setUint32(hotPagesLayout.frameCount[0], frames.length);
  view.setBigUint64(hotPagesLayout.txid[0], txid);
  let at = headerSizeBytes;
  for (const parts of files) {
    for (const part of parts) {
      view.setUint16(at, part.length);
      at += 2;
    }
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
  }
  const fileByName = new Map(names.map((name, file) => [name, file]));
  let bodyAt = headBytes;
  for (const frame of frames) {
    view.setUint32(at, fileByName.get(nameOf(frame)) ?? 0);
    view.setUint32(at + 4, frame.bytes.length);
    view.setBigUint64(at + 8, BigInt(frame.offset));
    at += frameHeadSizeBytes;
    all.set(frame.bytes, bodyAt);
    bodyAt += frame.bytes.length;
  }
  const seal = sealOf(codec, pageSize, all.subarray(0, bodyAt));
  view.setBigUint64(bodyAt, seal);
  return { key: `${hotPagesPrefix}${formatTxid(txid)}-${toHex64(seal)}.frames`, bytes: all };
}

/** Reads and checks the bytes; the frames are borrowed from them. `undefined` if they are anything but a whole, unaltered object. */
export function decodeHotPages(codec: Codec, bytes: Uint8Array): HotPages | undefined {
  const sealAt = bytes.length - sealSizeBytes;
  if (sealAt < headerSizeBytes) return undefined;
  const view = viewOf(bytes);
  const pageSize = view.getUint32(hotPagesLayout.pageSize[0]);
  const txid = view.getBigUint64(hotPagesLayout.txid[0]);
  const isSound =
    view.getUint32(hotPagesLayout.magic[0]) === magic &&
    view.getUint32(hotPagesLayout.version[0]) === version &&
    isPageSize(pageSize) &&
    txid > 0n &&
    view.getBigUint64(sealAt) === sealOf(codec, pageSize, bytes.subarray(0, sealAt));
  if (!isSound) return undefined;
  const frames = readFrames(bytes.subarray(0, sealAt), view);
  return frames && { txid: toTxid(txid), pageSize, frames };
}

function readFrames(bytes: Uint8Array, view: DataView): readonly HotFrame[] | undefined {
  const files: Pick<HotFrame, "key" | "etag">[] = [];
  const fileCount = view.getUint32(hotPagesLayout.fileCount[0]);
  const frameCount = view.getUint32(hotPagesLayout.frameCount[0]);
  let at = headerSizeBytes;
  for (let file = 0; file < fileCount; file++) {
    if (at + fileHeadSizeBytes > bytes.length) return undefined;
    const keyEnd = at + fileHeadSizeBytes + view.getUint16(at);
    const etagEnd = keyEnd + view.getUint16(at + 2);
    if (etagEnd > bytes.length) return undefined;
    const decoder = new TextDecoder();
    const key = decoder.decode(bytes.subarray(at + fileHeadSizeBytes, keyEnd));
    files.push({ key, etag: decoder.decode(bytes.subarray(keyEnd, etagEnd)) });
    at = etagEnd;
  }
  let bodyAt = at + frameHeadSizeBytes * frameCount;
  const frames: HotFrame[] = [];
  for (; frames.length < frameCount; at += frameHeadSizeBytes) {
    if (bodyAt > bytes.length) return undefined;
    const file = files[view.getUint32(at)];
    const end = bodyAt + view.getUint32(at + 4);
    const offset = Number(view.getBigUint64(at + 8));
    if (file === undefined || end > bytes.length) return undefined;
    frames.push({ ...file, offset, bytes: bytes.subarray(bodyAt, end) });
    bodyAt = end;
  }
  return bodyAt === bytes.length ? frames : undefined;
}

/** Neither key nor etag has a line feed in it. */
function nameOf({ key, etag }: Pick<HotFrame, "key" | "etag">): string {
  return `${key}\n${etag}`;
}

function sealOf(codec: Codec, pageSize: number, bytes: Uint8Array): bigint {
  using kernel = codec.openKernel(pageSize);
  kernel.hash(bytes);
  return kernel.fileChecksum;
}
