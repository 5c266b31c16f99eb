// The first 100 bytes of a database file (https://www.sqlite.org/fileformat2.html section 1.3). All fields are
// big-endian. Capture reads it before SQLite may touch the file, to refuse what is not a database in plain words.
import { assert } from "../base/assert.ts";
import { viewOf } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { isPageSize } from "../base/page.ts";
import { readField, writeField, type Field } from "./layout.ts";

/** Size of the header in bytes. */
export const databaseHeaderSizeBytes = 100;

const magic = new TextEncoder().encode("SQLite format 3\0");

const layout = {
  pageSize: { offset: 16, sizeBytes: 2 },
  writeVersion: { offset: 18, sizeBytes: 1 },
  readVersion: { offset: 19, sizeBytes: 1 },
  reservedBytes: { offset: 20, sizeBytes: 1 },
  maxPayloadFraction: { offset: 21, sizeBytes: 1 },
  minPayloadFraction: { offset: 22, sizeBytes: 1 },
  leafPayloadFraction: { offset: 23, sizeBytes: 1 },
  changeCounter: { offset: 24, sizeBytes: 4 },
  pageCount: { offset: 28, sizeBytes: 4 },
  firstFreelistPgno: { offset: 32, sizeBytes: 4 },
  freelistCount: { offset: 36, sizeBytes: 4 },
  schemaCookie: { offset: 40, sizeBytes: 4 },
  schemaFormat: { offset: 44, sizeBytes: 4 },
  defaultCacheSize: { offset: 48, sizeBytes: 4 },
  largestRootPgno: { offset: 52, sizeBytes: 4 },
  textEncoding: { offset: 56, sizeBytes: 4 },
  userVersion: { offset: 60, sizeBytes: 4 },
  incrementalVacuum: { offset: 64, sizeBytes: 4 },
  applicationId: { offset: 68, sizeBytes: 4 },
  versionValidFor: { offset: 92, sizeBytes: 4 },
  sqliteVersion: { offset: 96, sizeBytes: 4 },
} as const satisfies Readonly<Record<string, Field>>;

/** Smallest page that SQLite accepts once the reserved bytes are taken off. */
const minUsableBytes = 480;
const maxTextEncoding = 3;
const maxSchemaFormat = 4;

/** The fields of a database header; numbers are unsigned. */
export interface DatabaseHeader {
  /** 512 to 65536 (which the file stores as 1). */
  readonly pageSize: number;
  /** 1 = rollback journal, 2 = WAL. A greater write version means read-only. */
  readonly writeVersion: number;
  readonly readVersion: number;
  readonly reservedBytes: number;
  readonly changeCounter: number;
  /** Database size in pages; true only if `versionValidFor` equals `changeCounter`. */
  readonly pageCount: number;
  readonly firstFreelistPgno: number;
  readonly freelistCount: number;
  readonly schemaCookie: number;
  readonly schemaFormat: number;
  readonly defaultCacheSize: number;
  readonly largestRootPgno: number;
  /** 0 in a database without tables, else 1 = UTF-8, 2 = UTF-16le, 3 = UTF-16be. */
  readonly textEncoding: number;
  readonly userVersion: number;
  readonly incrementalVacuum: number;
  readonly applicationId: number;
  readonly versionValidFor: number;
  /** The SQLite that wrote last, as 3051003 for 3.51.3. */
  readonly sqliteVersion: number;
}

/** Decodes and checks a header. Throws `sqlite/invalid` naming the field that no database can have. */
export function decodeDatabaseHeader(bytes: Uint8Array): DatabaseHeader {
  if (bytes.length < databaseHeaderSizeBytes) {
    throw invalid(`it is ${bytes.length} bytes long, a header has ${databaseHeaderSizeBytes}`);
  }
  if (magic.some((byte, i) => bytes[i] !== byte)) {
    throw invalid("it does not begin with 'SQLite format 3'; it may be encrypted");
  }
  const view = viewOf(bytes);
  const get = (name: keyof typeof layout): number => readField(view, layout[name]);
  const header: DatabaseHeader = {
    pageSize: get("pageSize") === 1 ? 65536 : get("pageSize"),
    writeVersion: get("writeVersion"),
    readVersion: get("readVersion"),
    reservedBytes: get("reservedBytes"),
    changeCounter: get("changeCounter"),
    pageCount: get("pageCount"),
    firstFreelistPgno: get("firstFreelistPgno"),
    freelistCount: get("freelistCount"),
    schemaCookie: get("schemaCookie"),
    schemaFormat: get("schemaFormat"),
    defaultCacheSize: get("defaultCacheSize"),
    largestRootPgno: get("largestRootPgno"),
    textEncoding: get("textEncoding"),
    userVersion: get("userVersion"),
    incrementalVacuum: get("incrementalVacuum"),
    applicationId: get("applicationId"),
    versionValidFor: get("versionValidFor"),
    sqliteVersion: get("sqliteVersion"),
  };
  const fractions = [
    get("maxPayloadFraction"),
    get("minPayloadFraction"),
    get("leafPayloadFraction"),
  ];
  const fault = faultOf(header) ?? (fractions.join() === "64,32,32" ? undefined : "fractions");
  if (fault !== undefined) throw invalid(`its header has an impossible ${fault}`);
  return header;
}

/** Encodes a header into 100 new bytes. The fields must be ones that `decodeDatabaseHeader` accepts. */
export function encodeDatabaseHeader(header: DatabaseHeader): Uint8Array<ArrayBuffer> {
  const fault = faultOf(header);
  assert(fault === undefined, `database header with an impossible ${fault}`);
  const bytes = new Uint8Array(databaseHeaderSizeBytes);
  bytes.set(magic);
  const view = viewOf(bytes);
  const stored = {
    ...header,
    pageSize: header.pageSize === 65536 ? 1 : header.pageSize,
    maxPayloadFraction: 64,
    minPayloadFraction: 32,
    leafPayloadFraction: 32,
  };
  writeField(view, layout.pageSize, stored.pageSize);
  writeField(view, layout.writeVersion, stored.writeVersion);
  writeField(view, layout.readVersion, stored.readVersion);
  writeField(view, layout.reservedBytes, stored.reservedBytes);
  writeField(view, layout.maxPayloadFraction, stored.maxPayloadFraction);
  writeField(view, layout.minPayloadFraction, stored.minPayloadFraction);
  writeField(view, layout.leafPayloadFraction, stored.leafPayloadFraction);
  writeField(view, layout.changeCounter, stored.changeCounter);
  writeField(view, layout.pageCount, stored.pageCount);
  writeField(view, layout.firstFreelistPgno, stored.firstFreelistPgno);
  writeField(view, layout.freelistCount, stored.freelistCount);
  writeField(view, layout.schemaCookie, stored.schemaCookie);
  writeField(view, layout.schemaFormat, stored.schemaFormat);
  writeField(view, layout.defaultCacheSize, stored.defaultCacheSize);
  writeField(view, layout.largestRootPgno, stored.largestRootPgno);
  writeField(view, layout.textEncoding, stored.textEncoding);
  writeField(view, layout.userVersion, stored.userVersion);
  writeField(view, layout.incrementalVacuum, stored.incrementalVacuum);
  writeField(view, layout.applicationId, stored.applicationId);
  writeField(view, layout.versionValidFor, stored.versionValidFor);
  writeField(view, layout.sqliteVersion, stored.sqliteVersion);
  return bytes;
}

/** The fields that `patchDatabaseHeader` overwrites. */
export const patchedHeaderFields: readonly Field[] = [
  layout.writeVersion,
  layout.readVersion,
  layout.changeCounter,
  layout.pageCount,
  layout.versionValidFor,
];

/**
 * Makes the header in a page 1 that of a read-only copy: rollback-journal mode, so that no reader looks for a WAL; the true
 * size; and `changeCounter`, by which SQLite tells whether the pages it has cached are still those of the file.
 */
export function patchDatabaseHeader(
  page: Uint8Array,
  { pageCount, changeCounter }: Pick<DatabaseHeader, "pageCount" | "changeCounter">,
): void {
  const view = viewOf(page);
  writeField(view, layout.writeVersion, 1);
  writeField(view, layout.readVersion, 1);
  writeField(view, layout.pageCount, pageCount);
  writeField(view, layout.changeCounter, changeCounter);
  // Only where these two are equal does SQLite trust the size beside them.
  writeField(view, layout.versionValidFor, changeCounter);
}

/** True when the database says it is in WAL mode. */
export function isWalMode(header: DatabaseHeader): boolean {
  return header.writeVersion === 2 && header.readVersion === 2;
}

/**
 * True when that SQLite (as in `sqliteVersion`) has the WAL-reset bug: versions 3.7.0 to 3.51.2 can lose commits
 * when two connections checkpoint at once. Fixed in 3.51.3, 3.50.7 and 3.44.6 (https://www.sqlite.org/wal.html).
 */
export function hasWalResetBug(sqliteVersion: number): boolean {
  if (sqliteVersion < 3_007_000 || sqliteVersion >= 3_051_003) return false;
  const minor = Math.floor(sqliteVersion / 1000);
  const patch = sqliteVersion % 1000;
  return !(minor === 3050 && patch >= 7) && !(minor === 3044 && patch >= 6);
}

function faultOf(header: DatabaseHeader): keyof DatabaseHeader | undefined {
  if (!isPageSize(header.pageSize)) return "pageSize";
  if (header.writeVersion < 1) return "writeVersion";
  if (header.readVersion < 1 || header.readVersion > 2) return "readVersion";
  if (header.pageSize - header.reservedBytes < minUsableBytes) return "reservedBytes";
  if (header.schemaFormat > maxSchemaFormat) return "schemaFormat";
  if (header.textEncoding > maxTextEncoding) return "textEncoding";
  return undefined;
}

function invalid(why: string): HeadwaterError {
  return new HeadwaterError(
    "sqlite/invalid",
    `The file is not a SQLite database: ${why}. Check the path; encrypted databases are not supported.`,
  );
}
