// `manifest.json` beside the levels: what a listing of the replica would say, and of the inside of each file what a reader of
// single pages would have to ask for. For stores that cannot list, which is what a browser sees of a bucket, and for
// readers that want to open a replica with few requests. Format: docs/formats/manifest.md.
//
// The replica never depends on it: it is written last, may be older than the replica, and can be deleted at any time.
import { HeadwaterError } from "../base/errors.ts";
import { toHex64 } from "../base/bytes.ts";
import { Crc64 } from "../codec/crc64.ts";
import type { LtxProof } from "../ltx/header.ts";
import { type Txid, formatTxid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";

export const manifestKey = "manifest.json";

/** Marks the object as ours. */
export const manifestFormat = "headwater-manifest";
export const manifestVersion = 1;

/** No manifest is larger: a file takes some 300 bytes. */
export const maxManifestBytes = 64 * 1024 * 1024;

/** A file of the replica, and what its writer knows of it. */
export interface ManifestFile extends ReplicaFile {
  /** `undefined`: not known, readers look for themselves. */
  readonly inside?: ManifestInside | undefined;
  /** Key of the checksum file beside it, if there is one. */
  readonly checksumKey?: string | undefined;
}

/** What stands inside a file whose time is that of its header. */
export interface ManifestInside {
  /** Size of the database in pages once the file is applied. */
  readonly commit: number;
  /** Bytes of the page index, its length included. */
  readonly indexSizeBytes: number;
  readonly proof: LtxProof | undefined;
}

/** The object that holds the pages which every reader needs first. */
export interface ManifestHot {
  readonly key: string;
  readonly sizeBytes: number;
  /** Of the state that they belong to. */
  readonly txid: Txid;
}

/** A file that is in the replica and about to be deleted: readers are told of it no longer. */
export interface WithdrawnFile {
  readonly key: string;
  /** When a manifest without it was there first; `undefined`: this is the first. */
  readonly sinceMs?: number | undefined;
}

export interface Manifest {
  /** The newest in the replica, and when it was captured. */
  readonly txid: Txid;
  readonly timestampMs: number;
  readonly pageSize: number;
  /** Size of the database in pages then. */
  readonly commit: number;
  /** All files of the replica, by key, but those withdrawn. */
  readonly files: readonly ManifestFile[];
  readonly hot?: ManifestHot | undefined;
  /** By key. */
  readonly withdrawn?: readonly WithdrawnFile[] | undefined;
}

/** The bytes: JSON, a line for each file, closed by a checksum of all that stands before it. */
export function encodeManifest(manifest: Manifest): Uint8Array<ArrayBuffer> {
  const { txid, timestampMs, pageSize, commit, files, hot, withdrawn = [] } = manifest;
  const head = {
    format: manifestFormat,
    version: manifestVersion,
    txid: formatTxid(txid),
    timestamp: new Date(timestampMs).toISOString(),
    pageSize,
    commit,
    ...(hot !== undefined && { hot: { ...hot, txid: formatTxid(hot.txid) } }),
    ...(withdrawn.length > 0 && { withdrawn }),
  };
  const rows = files.map((file) => JSON.stringify(rowOf(file)));
  const body = `${JSON.stringify(head).slice(0, -1)},"files":[\n${rows.join(",\n")}\n],\n`;
  const encoder = new TextEncoder();
  return encoder.encode(`${body}"checksum":"${manifestChecksum(encoder.encode(body))}"}\n`);
}

/** Why a manifest cannot be used. `foreign`: another program's, under the same name. */
export type ManifestProblem = "missing" | "damaged" | "foreign" | "newer";

/** The error for a manifest that cannot be used; `reason` is in its data. */
export function manifestFault(
  url: string,
  problem: string,
  {
    reason = "damaged",
    next = nextStep,
    cause,
  }: {
    readonly reason?: ManifestProblem;
    readonly next?: string;
    readonly cause?: unknown;
  } = {},
): HeadwaterError {
  return new HeadwaterError("replica/manifest", `${manifestKey} in ${url} ${problem}. ${next}`, {
    data: { key: manifestKey, url, reason },
    cause,
  });
}

/** The error for a replica in a store that cannot list, without a manifest. */
export function missingManifest(url: string): HeadwaterError {
  return manifestFault(url, "is missing", {
    reason: "missing",
    next:
      "HTTP servers cannot list, so a replica there needs one: replicate with manifest: true (--manifest), or read the replica by " +
      "s3:// or file://.",
  });
}

const nextStep =
  "It is written anew with the next upload of a Headwater that replicates there with manifest: true; until then read the " +
  "replica by s3:// or file://.";

/** 16 hexadecimal digits for the bytes that stand before it. */
export function manifestChecksum(bytes: Uint8Array): string {
  const crc = new Crc64();
  crc.add(bytes);
  return toHex64(crc.value);
}

function rowOf(file: ManifestFile): Readonly<Record<string, unknown>> {
  const { level, minTxid, maxTxid, key, sizeBytes, etag, timestampMs, isExactTime } = file;
  const { inside, checksumKey } = file;
  return {
    level,
    minTxid: formatTxid(minTxid),
    maxTxid: formatTxid(maxTxid),
    key,
    sizeBytes,
    etag,
    timestampMs,
    ...(!isExactTime && { isExactTime }),
    ...(inside !== undefined && {
      commit: inside.commit,
      indexSizeBytes: inside.indexSizeBytes,
      ...(inside.proof !== undefined && {
        before: toHex64(inside.proof.before),
        after: toHex64(inside.proof.after),
      }),
    }),
    ...(checksumKey !== undefined && { checksumKey }),
  };
}
