// The golden replicas of test/fixtures/golden: real files of Litestream and its VFS with what each restores to.
// Git keeps no modification times, and Litestream's file replicas carry their time in them: `copyGolden` sets them.
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Txid } from "../../src/core/ltx/txid.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";

const goldenRoot = fileURLToPath(new URL("../fixtures/golden", import.meta.url));

export interface GoldenFile {
  /** Path inside the set. */
  readonly path: string;
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly pageSize: number;
  readonly commit: number;
  /** Pages in the file; not recorded for multilevel-4096. */
  readonly pageCount: number | undefined;
  readonly timestampMs: number;
  /** Modification time, or the S3 object's LastModified. */
  readonly mtimeMs: number;
}

/** What restoring to a TXID gives: a database with this hash, or a refusal. */
export interface GoldenRestore {
  readonly txid: Txid;
  readonly sha256: string | undefined;
}

/** What restoring to a time gives. */
export interface GoldenTimestampRestore {
  readonly timestampMs: number;
  readonly sha256: string | undefined;
}

export interface GoldenSet {
  readonly name: string;
  /** The set's directory: a `file://` replica as it is, but for the S3 set, whose keys are under `objects/`. */
  readonly path: string;
  readonly pageSize: number;
  readonly files: readonly GoldenFile[];
  /** Every restore point on record, ascending, as current Litestream restores it. */
  readonly restores: readonly GoldenRestore[];
  readonly timestampRestores: readonly GoldenTimestampRestore[];
  /** All of manifest.json. */
  readonly manifest: Readonly<Record<string, unknown>>;
}

interface RawFile {
  readonly file?: string;
  readonly key?: string;
  readonly level: number;
  readonly minTXID?: number;
  readonly txid: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly pageSize: number;
  readonly commit: number;
  readonly pages?: number;
  readonly timestamp: number;
  readonly mtimeMs?: number;
  readonly lastModifiedMs?: number;
  readonly dbSha256?: string;
}

interface RawRestore {
  readonly txid: number;
  readonly dbSha256?: string;
  readonly head?: { readonly dbSha256?: string };
}

interface RawManifest {
  readonly pageSize: number;
  readonly files: readonly RawFile[];
  readonly restores?: readonly RawRestore[];
  readonly timestampRestores?: readonly {
    readonly timestampMs: number;
    readonly dbSha256?: string;
  }[];
  readonly final?: { readonly txid: number; readonly dbSha256: string };
}

/** Names of all sets of LTX files alone, sorted. Those that hold files of Litestream 0.3 have a reader of their own. */
export function goldenSetNames(): readonly string[] {
  return readdirSync(goldenRoot, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("daemon-v03"))
    .map((entry) => entry.name)
    .sort();
}

/** A set, to be read in place. */
export function readGoldenSet(name: string): GoldenSet {
  const path = join(goldenRoot, name);
  const text = readFileSync(join(path, "manifest.json"), "utf8");
  const raw = JSON.parse(text) as RawManifest;
  return {
    name,
    path,
    pageSize: raw.pageSize,
    files: raw.files.map((file) => toGoldenFile(file)),
    restores: toRestores(raw),
    timestampRestores: (raw.timestampRestores ?? []).map(({ timestampMs, dbSha256 }) => ({
      timestampMs,
      sha256: dbSha256,
    })),
    manifest: JSON.parse(text) as Record<string, unknown>,
  };
}

/** A copy of a set in a temporary directory, modification times set. Disposing deletes it. */
export function copyGolden(name: string): GoldenSet & Disposable {
  const path = mkdtempSync(join(tmpdir(), "headwater-golden-"));
  const set = readGoldenSet(name);
  cpSync(set.path, path, { recursive: true });
  for (const file of set.files) {
    // Half a millisecond more: a double of seconds cannot hold most milliseconds, and times are rounded down.
    const seconds = (file.mtimeMs + 0.5) / 1000;
    utimesSync(join(path, file.path), seconds, seconds);
  }
  return {
    ...set,
    path,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function toGoldenFile(raw: RawFile): GoldenFile {
  return {
    path: raw.key === undefined ? `ltx/${raw.level}/${raw.file}` : `objects/${raw.key}`,
    level: raw.level,
    minTxid: toTxid(raw.minTXID ?? raw.txid),
    maxTxid: toTxid(raw.txid),
    sizeBytes: raw.bytes,
    sha256: raw.sha256,
    pageSize: raw.pageSize,
    commit: raw.commit,
    pageCount: raw.pages,
    timestampMs: raw.timestamp,
    mtimeMs: raw.mtimeMs ?? raw.lastModifiedMs ?? raw.timestamp,
  };
}

function toRestores({ restores, files, final }: RawManifest): readonly GoldenRestore[] {
  if (restores !== undefined) {
    return restores
      .filter((restore) => !("integrityCheckFlag" in restore))
      .map(({ txid, dbSha256, head }) => ({
        txid: toTxid(txid),
        sha256: head?.dbSha256 ?? dbSha256,
      }));
  }
  const points = final === undefined ? files : [final];
  return points.map(({ txid, dbSha256 }) => ({ txid: toTxid(txid), sha256: dbSha256 }));
}
