// Reads `manifest.json` (docs/formats/manifest.md). Every field is checked: what it says decides which bytes are taken for
// which page.
import { isPageSize } from "../base/page.ts";
import { isRecord } from "../base/record.ts";
import { type LtxProof, isChecksum } from "../ltx/header.ts";
import { type Txid, parseTxid } from "../ltx/txid.ts";
import { isKey } from "../store/object-key.ts";
import { maxLevel } from "./layout.ts";
import {
  type Manifest,
  type ManifestFile,
  type ManifestHot,
  type ManifestInside,
  type WithdrawnFile,
  manifestChecksum,
  manifestFault,
  manifestFormat,
  manifestVersion,
} from "./manifest.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A field is not what the format says. */
class FieldFault extends Error {
  override readonly name = "FieldFault";
}

/**
 * Reads and checks a manifest. `url` is that of the replica, for errors. Throws `replica/manifest` for bytes that are
 * damaged or cut off, of another program, or of a version to come.
 */
export function parseManifest(bytes: Uint8Array, url: string): Manifest {
  const text = new TextDecoder().decode(bytes);
  const value = readJson(text, url);
  if (!isRecord(value) || value["format"] !== manifestFormat) {
    throw manifestFault(url, "is not a manifest of Headwater", {
      reason: "foreign",
      next: "Move it away if it is in the place of one.",
    });
  }
  const { version } = value;
  if (typeof version === "number" && version > manifestVersion) {
    throw manifestFault(url, `has version ${version}, which a newer Headwater has written`, {
      reason: "newer",
      next: `This one reads version ${manifestVersion}. Update Headwater.`,
    });
  }
  const sealed = new TextEncoder().encode(text.slice(0, text.lastIndexOf('"checksum"')));
  if (version !== manifestVersion || value["checksum"] !== manifestChecksum(sealed)) {
    throw manifestFault(url, "is damaged: its checksum is another");
  }
  try {
    return manifestOf(value);
  } catch (error) {
    if (!(error instanceof FieldFault)) throw error;
    throw manifestFault(url, `is damaged: it has no sound ${error.message}`);
  }
}

function readJson(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw manifestFault(url, "is damaged or cut off", { cause: error });
  }
}

function manifestOf(fields: Fields): Manifest {
  const { files, hot, withdrawn } = fields;
  const pageSize = countOf(fields, "pageSize");
  if (!isPageSize(pageSize)) throw new FieldFault("pageSize");
  const timestampMs = Date.parse(textOf(fields, "timestamp"));
  if (Number.isNaN(timestampMs)) throw new FieldFault("timestamp");
  if (!Array.isArray(files)) throw new FieldFault("files");
  return {
    txid: txidOf(fields, "txid"),
    timestampMs,
    pageSize,
    commit: countOf(fields, "commit"),
    files: files.map((one: unknown) => fileOf(recordOf(one, "files"))),
    hot: hot === undefined ? undefined : hotOf(recordOf(hot, "hot")),
    withdrawn: withdrawn === undefined ? undefined : withdrawnOf(withdrawn),
  };
}

function fileOf(fields: Fields): ManifestFile {
  const level = countOf(fields, "level");
  const minTxid = txidOf(fields, "minTxid");
  const maxTxid = txidOf(fields, "maxTxid");
  if (level > maxLevel) throw new FieldFault("level");
  if (minTxid > maxTxid) throw new FieldFault("maxTxid");
  return {
    level,
    minTxid,
    maxTxid,
    key: keyOf(fields, "key"),
    sizeBytes: countOf(fields, "sizeBytes"),
    etag: textOf(fields, "etag"),
    timestampMs: countOf(fields, "timestampMs"),
    isExactTime: fields["isExactTime"] !== false,
    inside: insideOf(fields),
    checksumKey: fields["checksumKey"] === undefined ? undefined : keyOf(fields, "checksumKey"),
  };
}

function insideOf(fields: Fields): ManifestInside | undefined {
  if (fields["commit"] === undefined) return undefined;
  return {
    commit: countOf(fields, "commit"),
    indexSizeBytes: countOf(fields, "indexSizeBytes"),
    proof: proofOf(fields),
  };
}

function proofOf(fields: Fields): LtxProof | undefined {
  if (fields["before"] === undefined) return undefined;
  return {
    before: databaseChecksumOf(fields, "before"),
    after: databaseChecksumOf(fields, "after"),
  };
}

function hotOf(fields: Fields): ManifestHot {
  return {
    key: keyOf(fields, "key"),
    sizeBytes: countOf(fields, "sizeBytes"),
    txid: txidOf(fields, "txid"),
  };
}

function withdrawnOf(value: unknown): readonly WithdrawnFile[] {
  if (!Array.isArray(value)) throw new FieldFault("withdrawn");
  return value.map((one: unknown) => {
    const fields = recordOf(one, "withdrawn");
    const key = keyOf(fields, "key");
    return fields["sinceMs"] === undefined ? { key } : { key, sinceMs: countOf(fields, "sinceMs") };
  });
}

function recordOf(value: unknown, name: string): Fields {
  if (!isRecord(value)) throw new FieldFault(name);
  return value;
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new FieldFault(name);
  return value;
}

function countOf(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new FieldFault(name);
  }
  return value;
}

function txidOf(fields: Fields, name: string): Txid {
  const txid = parseTxid(textOf(fields, name));
  if (txid === undefined) throw new FieldFault(name);
  return txid;
}

/** A key never leads out of the replica. */
function keyOf(fields: Fields, name: string): string {
  const key = textOf(fields, name);
  if (!isKey(key)) throw new FieldFault(name);
  return key;
}

/** 0n, or bit 63 is set. */
function databaseChecksumOf(fields: Fields, name: string): bigint {
  const text = textOf(fields, name);
  const value = /^[0-9a-f]{16}$/u.test(text) ? BigInt(`0x${text}`) : 1n;
  if (value !== 0n && !isChecksum(value)) throw new FieldFault(name);
  return value;
}
