// Where a replica's files live: the keys of LTX files relative to the replica's URL. Both layouts are Litestream's
// own, so that each program reads the other's replicas (docs/formats/replica.md).
import { formatLtxName, parseLtxName } from "../ltx/file-name.ts";
import type { Txid } from "../ltx/txid.ts";

/** Level 0 is as captured, 1 to 8 are compacted, 9 holds full images. */
export const maxLevel = 9;

/** What the key of an LTX file says. */
export interface LtxKey {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
}

/** Translates between LTX files and keys. Anything else beside them is not ours to touch. */
export interface ReplicaLayout {
  /** The key of one file. */
  key(file: LtxKey): string;
  /** What the keys of all levels begin with; few others do. */
  readonly prefix: string;
  /** The prefix that all files of a level share; ends with `/`. */
  levelPrefix(level: number): string;
  /** `undefined` for a key that is no LTX file of this layout. */
  parse(key: string): LtxKey | undefined;
}

/** `ltx/<level>/<min>-<max>.ltx`: every backend but S3 and OSS. */
export const litestreamLayout: ReplicaLayout = layoutOf("ltx/", (level) => `ltx/${level}/`);

/** `<level in 4 hexadecimal digits>/<min>-<max>.ltx`: S3 and OSS. */
export const litestreamS3Layout: ReplicaLayout = layoutOf(
  "000",
  (level) => `${level.toString(16).padStart(4, "0")}/`,
);

/** The layout Litestream uses under a URL of this scheme. */
export function layoutForUrl(url: string): ReplicaLayout {
  return /^(?:s3|oss):/u.test(url) ? litestreamS3Layout : litestreamLayout;
}

/** Whether what is under a URL of this scheme cannot be listed, and is known by its manifest alone. */
export function isListedByManifest(url: string): boolean {
  return /^https?:/u.test(url);
}

function layoutOf(prefix: string, levelPrefix: (level: number) => string): ReplicaLayout {
  const levelByPrefix = new Map<string, number>();
  for (let level = 0; level <= maxLevel; level++) levelByPrefix.set(levelPrefix(level), level);
  return {
    prefix,
    levelPrefix,
    key: ({ level, minTxid, maxTxid }) => levelPrefix(level) + formatLtxName(minTxid, maxTxid),
    parse: (key) => {
      const nameAt = key.lastIndexOf("/") + 1;
      const level = levelByPrefix.get(key.slice(0, nameAt));
      const range = parseLtxName(key.slice(nameAt));
      return level === undefined || range === undefined ? undefined : { level, ...range };
    },
  };
}
