// The checksum file of an LTX file: one checksum for each of its pages, so that a page read by itself can be checked. An LTX
// file has one checksum over all its bytes, and a flipped bit in a literal decodes without complaint.
//
// It lies beside the levels, where Litestream does not look, and is bound to one LTX file by that file's own checksum.
// Nothing needs it: without it, and where it is damaged, pages are read unchecked. Format: docs/formats/checksum-file.md.
import type { Waiting } from "../base/async.ts";
import { viewOf } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { isPageSize } from "../base/page.ts";
import type { Codec } from "../codec/codec.ts";
import { formatLtxName, parseLtxName } from "../ltx/file-name.ts";
import { openLtx } from "../ltx/decoder.ts";
import type { ReplicaFile } from "../replica/catalog.ts";
import { maxLevel } from "../replica/layout.ts";
import { type ObjectBody, type ObjectStore, bodyOf } from "../store/object-store.ts";

/** The prefix of all checksum files of a replica. */
const checksumPrefix = "page-checksums/";

/** "HWPS" */
const magic = 0x4857_5053;
const version = 1;

/** Where each field lies: [offset, size] in bytes. All integers are big-endian. The checksums follow, then `seal`. */
export const checksumFileLayout = {
  magic: [0, 4],
  version: [4, 4],
  pageSize: [8, 4],
  pageCount: [12, 4],
  fileChecksum: [16, 8],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

const headerSizeBytes = 24;
const checksumSizeBytes = 8;

/** What it holds. */
export interface ChecksumFile {
  readonly pageSize: number;
  /** Checksum of the LTX file that it belongs to, from its trailer. */
  readonly fileChecksum: bigint;
  /** In the order of the LTX file's page index. */
  readonly checksums: BigUint64Array;
}

/** Its key, in every layout. It does not end in `.ltx`, so that nothing takes it for a file of a level. */
export function checksumFileKey({
  level,
  minTxid,
  maxTxid,
}: Pick<ReplicaFile, "level" | "minTxid" | "maxTxid">): string {
  const name = formatLtxName(minTxid, maxTxid).slice(0, -".ltx".length);
  return `${checksumPrefix}${level}/${name}.checksums`;
}

/** The bytes. Copied. */
export function encodeChecksumFile(codec: Codec, file: ChecksumFile): Uint8Array<ArrayBuffer> {
  const { pageSize, fileChecksum, checksums } = file;
  const sealAt = headerSizeBytes + checksumSizeBytes * checksums.length;
  const bytes = new Uint8Array(sealAt + checksumSizeBytes);
  const view = viewOf(bytes);
  view.setUint32(checksumFileLayout.magic[0], magic);
  view.setUint32(checksumFileLayout.version[0], version);
  view.setUint32(checksumFileLayout.pageSize[0], pageSize);
  view.setUint32(checksumFileLayout.pageCount[0], checksums.length);
  view.setBigUint64(checksumFileLayout.fileChecksum[0], fileChecksum);
  for (const [index, checksum] of checksums.entries()) {
    view.setBigUint64(headerSizeBytes + checksumSizeBytes * index, checksum);
  }
  view.setBigUint64(sealAt, sealOf(codec, pageSize, bytes.subarray(0, sealAt)));
  return bytes;
}

/** Reads and checks the bytes. `undefined` if they are anything but a whole, unaltered checksum file. */
export function decodeChecksumFile(codec: Codec, bytes: Uint8Array): ChecksumFile | undefined {
  const sealAt = bytes.length - checksumSizeBytes;
  if (sealAt < headerSizeBytes) return undefined;
  const view = viewOf(bytes);
  const pageSize = view.getUint32(checksumFileLayout.pageSize[0]);
  const pageCount = view.getUint32(checksumFileLayout.pageCount[0]);
  const isSound =
    view.getUint32(checksumFileLayout.magic[0]) === magic &&
    view.getUint32(checksumFileLayout.version[0]) === version &&
    isPageSize(pageSize) &&
    headerSizeBytes + checksumSizeBytes * pageCount === sealAt &&
    view.getBigUint64(sealAt) === sealOf(codec, pageSize, bytes.subarray(0, sealAt));
  if (!isSound) return undefined;
  const checksums = new BigUint64Array(pageCount);
  for (let index = 0; index < pageCount; index++) {
    checksums[index] = view.getBigUint64(headerSizeBytes + checksumSizeBytes * index);
  }
  const fileChecksum = view.getBigUint64(checksumFileLayout.fileChecksum[0]);
  return { pageSize, fileChecksum, checksums };
}

function sealOf(codec: Codec, pageSize: number, bytes: Uint8Array): bigint {
  using kernel = codec.openKernel(pageSize);
  kernel.hash(bytes);
  return kernel.fileChecksum;
}

export interface WriteChecksumOptions extends Waiting {
  readonly store: ObjectStore;
  readonly codec: Codec;
  /** The bytes of the LTX file where they lie nearer than the store. */
  readonly localBody?: ObjectBody | undefined;
}

/**
 * Reads an LTX file in whole, which proves it, and puts its checksum file, in place of any that is there. Interrupted, it
 * has put all or nothing. Throws what the decoder finds wrong, `store/changed` if the file is gone, and what the store throws.
 */
export async function writeChecksumFile(
  file: ReplicaFile,
  { store, codec, localBody, signal }: WriteChecksumOptions,
): Promise<void> {
  const chunks = localBody?.open({ signal }) ?? (await store.get(file.key, { signal }))?.body;
  if (chunks === undefined) {
    throw new HeadwaterError(
      "store/changed",
      `${file.key} was deleted before its checksum file was made. Nothing is to be done: what replaces it gets its own.`,
      { data: { key: file.key } },
    );
  }
  const reader = await openLtx(codec, chunks, { name: file.key, signal });
  const parts: BigUint64Array[] = [];
  for await (const { checksums, count } of reader.pages()) parts.push(checksums.slice(0, count));
  const all = new BigUint64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  const { pageSize } = reader.header;
  const { fileChecksum } = reader.trailer;
  const bytes = encodeChecksumFile(codec, { pageSize, fileChecksum, checksums: all });
  await store.put(checksumFileKey(file), bodyOf(bytes), { signal });
}

/** Keys of all checksum files of a replica. Anything else below the prefix is left out. */
export async function listChecksumFiles(
  store: ObjectStore,
  { signal }: Waiting,
): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  for await (const { key } of store.list({ prefix: checksumPrefix, signal })) {
    if (isChecksumFileKey(key)) keys.add(key);
  }
  return keys;
}

/** Deletes the checksum files whose LTX file is not among `files`, which must be a listing made after that of the keys. */
export async function pruneChecksumFiles(
  store: ObjectStore,
  listFiles: (options: Waiting) => Promise<readonly ReplicaFile[]>,
  { signal }: Waiting,
): Promise<readonly string[]> {
  const keys = await listChecksumFiles(store, { signal });
  if (keys.size === 0) return [];
  const left = leftOverChecksumFiles(keys, await listFiles({ signal }));
  if (left.length > 0) await store.delete(left, { signal });
  return left;
}

/** Those keys of checksum files that belong to none of `files`. */
export function leftOverChecksumFiles(
  keys: Iterable<string>,
  files: readonly ReplicaFile[],
): readonly string[] {
  const kept = new Set(files.map(checksumFileKey));
  return [...keys].filter((key) => !kept.has(key));
}

function isChecksumFileKey(key: string): boolean {
  const match = /^page-checksums\/(?<level>\d)\/(?<name>[^/]+)\.checksums$/u.exec(key);
  const level = Number(match?.groups?.["level"] ?? -1);
  const isLevel = level >= 0 && level <= maxLevel;
  return isLevel && parseLtxName(`${match?.groups?.["name"]}.ltx`) !== undefined;
}
