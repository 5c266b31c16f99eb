// How a Litestream 0.5 that is started on a replica written by another program finds its place in the WAL, as observed
// on the real daemon. It has no local state, so its baseline is the newest level-0 file of the replica, and that file's
// WAL fields decide. Only one outcome is safe: a full image at the TXID after the head. Tests hold our replicas to it.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { viewOf } from "../../src/core/base/bytes.ts";
import { decodeHeader } from "../../src/core/ltx/header.ts";

/** What the daemon reads of a file. An `LtxHeader` with its level has all of it but the pages. */
export interface LitestreamFile {
  readonly level: number;
  readonly minTxid: bigint;
  readonly maxTxid: bigint;
  readonly pageSize: number;
  readonly walOffset: bigint;
  readonly walSize: bigint;
  readonly walSalt1: number;
  readonly walSalt2: number;
  /** Page images by number; only looked at when the WAL fields end inside a WAL. */
  readonly pages?: ReadonlyMap<number, Uint8Array> | undefined;
}

export type TakeOver =
  /** An image of every page, with the WAL: right whatever happened before. */
  | { readonly kind: "full"; readonly txid: bigint; readonly why: string }
  /** Frames from this offset of the WAL on. Right only if nothing happened in between, which it cannot know. */
  | { readonly kind: "incremental"; readonly txid: bigint; readonly fromOffset: number }
  /** It goes on, and restores are wrong. */
  | { readonly kind: "lossy"; readonly why: string }
  /** It repeats an error for ever and replicates nothing. */
  | { readonly kind: "wedge"; readonly why: string };

/** The files of a replica on disk, from their headers. Pages are left out: ours never make it look at them. */
export function readLitestreamFiles(directory: string): readonly LitestreamFile[] {
  return readdirSync(join(directory, "ltx"))
    .flatMap((level) =>
      readdirSync(join(directory, "ltx", level)).map((name) => ({ level: Number(level), name })),
    )
    .map(({ level, name }) => {
      const bytes = readFileSync(join(directory, "ltx", String(level), name));
      return { ...decodeHeader(bytes, name), level };
    });
}

const walHeaderBytes = 32;
const frameHeaderBytes = 24;

/** What the daemon does. `wal` is the `-wal` file as it lies there, empty if there is none: it then makes a fresh one. */
export function litestreamTakeOver(files: readonly LitestreamFile[], wal: Uint8Array): TakeOver {
  const head = files.reduce((max, file) => (file.maxTxid > max ? file.maxTxid : max), 0n);
  const newest = files
    .filter(({ level }) => level === 0)
    .reduce<LitestreamFile | undefined>(
      (a, b) => (a !== undefined && a.maxTxid > b.maxTxid ? a : b),
      undefined,
    );
  if (newest === undefined && head === 0n) return { kind: "full", txid: 1n, why: "nothing there" };
  if (newest === undefined || newest.maxTxid < head)
    return {
      kind: "lossy",
      why: "the head is in no level-0 file: its numbers collide with history",
    };
  if (newest.minTxid < newest.maxTxid)
    return {
      kind: "wedge",
      why: "it asks for the newest level-0 file under a name that is not there",
    };
  return verify(newest, wal);
}

function verify(newest: LitestreamFile, wal: Uint8Array): TakeOver {
  const txid = newest.maxTxid + 1n;
  const frameBytes = frameHeaderBytes + newest.pageSize;
  const end = Number(newest.walOffset + newest.walSize);
  const sameSalts = wal.length >= walHeaderBytes && hasSalts(wal, 16, newest);
  const full = (why: string): TakeOver => ({ kind: "full", txid, why });
  const incremental = (fromOffset: number): TakeOver => ({ kind: "incremental", txid, fromOffset });

  if (end > Math.max(wal.length, walHeaderBytes)) return full("the WAL was truncated");
  if (end === walHeaderBytes)
    return sameSalts ? incremental(walHeaderBytes) : full("the salts of the WAL header changed");
  const frame = end - frameBytes;
  if (frame < walHeaderBytes)
    return { kind: "wedge", why: "the frame before the end lies before the first frame" };
  if (frame === walHeaderBytes)
    return sameSalts ? incremental(end) : full("one frame captured, and it was overwritten");
  if (!hasSalts(wal, frame + 8, newest) || !holdsFrame(newest, wal, frame))
    return {
      kind: "lossy",
      why: "the last frame was overwritten: it sends the file without the WAL",
    };
  if (sameSalts) return incremental(end);
  return hasThirdSalts(newest, wal, frameBytes)
    ? full("the WAL was restarted more than once")
    : incremental(walHeaderBytes);
}

function hasSalts(wal: Uint8Array, at: number, file: LitestreamFile): boolean {
  const view = viewOf(wal);
  return view.getUint32(at) === file.walSalt1 && view.getUint32(at + 4) === file.walSalt2;
}

/** True when the frame's page is, byte for byte, a page of the file. */
function holdsFrame(file: LitestreamFile, wal: Uint8Array, frame: number): boolean {
  const at = frame + frameHeaderBytes;
  const page = file.pages?.get(viewOf(wal).getUint32(frame));
  return page !== undefined && page.every((byte, i) => byte === wal[at + i]);
}

/** Looks from the first frame on until the old salts come. */
function hasThirdSalts(file: LitestreamFile, wal: Uint8Array, frameBytes: number): boolean {
  const view = viewOf(wal);
  for (let at = walHeaderBytes; at + frameBytes <= wal.length; at += frameBytes) {
    if (hasSalts(wal, at + 8, file)) return false;
    const isCurrent =
      view.getUint32(at + 8) === view.getUint32(16) &&
      view.getUint32(at + 12) === view.getUint32(20);
    if (!isCurrent) return true;
  }
  return false;
}
