// The header of an LTX file, 100 bytes: which transactions it holds, of which size, and the proof that links
// it to its neighbours. Format: docs/formats/ltx.md, "Header" and "Proof".
import { viewOf } from "../base/bytes.ts";
import { isPageSize } from "../base/page.ts";
import { ltxFault } from "./fault.ts";
import type { Txid } from "./txid.ts";
import { toTxid } from "./txid.ts";

/** Database checksums before and after a file. Each is 0n (unknown) or has bit 63 set. */
export interface LtxProof {
  readonly before: bigint;
  readonly after: bigint;
}

/** Whether two claims of one database checksum exclude each other; 0n claims nothing. */
export function areContradictory(a: bigint, b: bigint): boolean {
  return a !== 0n && b !== 0n && a !== b;
}

export interface LtxHeader {
  readonly pageSize: number;
  /** Size of the database in pages once the file is applied. */
  readonly commit: number;
  /** 1 makes the file a snapshot: it holds every page. */
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  /** Milliseconds since 1970. */
  readonly timestampMs: number;
  /** True in every file of a replica: pre- and post-apply checksums are zero. */
  readonly noChecksum: boolean;
  /** Database checksum before the file, bit 63 set; 0n for snapshots and with `noChecksum`. */
  readonly preApplyChecksum: bigint;
  readonly walOffset: bigint;
  readonly walSize: bigint;
  readonly walSalt1: number;
  readonly walSalt2: number;
  readonly nodeId: bigint;
  readonly proof: LtxProof | undefined;
}

export const ltxHeaderSizeBytes = 100;

/** Where each field lies: [offset, size] in bytes. All integers are big-endian. */
export const ltxHeaderLayout = {
  magic: [0, 4],
  flags: [4, 4],
  pageSize: [8, 4],
  commit: [12, 4],
  minTxid: [16, 8],
  maxTxid: [24, 8],
  timestampMs: [32, 8],
  preApplyChecksum: [40, 8],
  walOffset: [48, 8],
  walSize: [56, 8],
  walSalt1: [64, 4],
  walSalt2: [68, 4],
  nodeId: [72, 8],
  proofTag: [80, 4],
  proofBefore: [84, 8],
  proofAfter: [92, 8],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

/** "LTX1" */
const magic = 0x4c54_5831;
const noChecksumFlag = 2;
/** "HWP1" */
const proofTag = 0x4857_5031;

/** Set in every stored checksum, so that none is zero. Alone: the checksum of no pages at all. */
export const checksumFlag = 1n << 63n;

/** True for a value that can stand where a checksum is demanded. */
export function isChecksum(value: bigint): boolean {
  return (value & checksumFlag) !== 0n;
}

/** The 100 bytes. Throws `ltx/invalid` for a header that the format forbids. */
export function encodeHeader(header: LtxHeader): Uint8Array<ArrayBuffer> {
  checkHeader(header, "new LTX file");
  const bytes = new Uint8Array(ltxHeaderSizeBytes);
  const view = viewOf(bytes);
  const at = ltxHeaderLayout;
  view.setUint32(at.magic[0], magic);
  view.setUint32(at.flags[0], header.noChecksum ? noChecksumFlag : 0);
  view.setUint32(at.pageSize[0], header.pageSize);
  view.setUint32(at.commit[0], header.commit);
  view.setBigUint64(at.minTxid[0], header.minTxid);
  view.setBigUint64(at.maxTxid[0], header.maxTxid);
  view.setBigInt64(at.timestampMs[0], BigInt(header.timestampMs));
  view.setBigUint64(at.preApplyChecksum[0], header.preApplyChecksum);
  view.setBigInt64(at.walOffset[0], header.walOffset);
  view.setBigInt64(at.walSize[0], header.walSize);
  view.setUint32(at.walSalt1[0], header.walSalt1);
  view.setUint32(at.walSalt2[0], header.walSalt2);
  view.setBigUint64(at.nodeId[0], header.nodeId);
  if (header.proof !== undefined) {
    view.setUint32(at.proofTag[0], proofTag);
    view.setBigUint64(at.proofBefore[0], header.proof.before);
    view.setBigUint64(at.proofAfter[0], header.proof.after);
  }
  return bytes;
}

/**
 * Reads and checks a header. `name` is the file's name in errors. Throws `ltx/short` for fewer than 100 bytes
 * and `ltx/invalid` for any value the format forbids. An unknown tag in place of the proof means no proof.
 */
export function decodeHeader(bytes: Uint8Array, name = "LTX header"): LtxHeader {
  if (bytes.length < ltxHeaderSizeBytes) {
    throw ltxFault("ltx/short", { name, offset: bytes.length }, "the header is cut off");
  }
  const view = viewOf(bytes);
  const at = ltxHeaderLayout;
  const invalid = (offset: number, problem: string): Error =>
    ltxFault("ltx/invalid", { name, offset }, problem);
  if (view.getUint32(at.magic[0]) !== magic) {
    throw invalid(at.magic[0], `the file does not start with "LTX1"`);
  }
  const flags = view.getUint32(at.flags[0]);
  if ((flags & ~noChecksumFlag) !== 0) {
    throw invalid(at.flags[0], `unknown flags 0x${flags.toString(16)}`);
  }
  const minTxid = view.getBigUint64(at.minTxid[0]);
  if (minTxid === 0n) throw invalid(at.minTxid[0], "min TXID is 0");
  const maxTxid = view.getBigUint64(at.maxTxid[0]);
  if (maxTxid < minTxid) throw invalid(at.maxTxid[0], "max TXID is below min TXID");
  const header: LtxHeader = {
    pageSize: view.getUint32(at.pageSize[0]),
    commit: view.getUint32(at.commit[0]),
    minTxid: toTxid(minTxid),
    maxTxid: toTxid(maxTxid),
    timestampMs: Number(view.getBigInt64(at.timestampMs[0])),
    noChecksum: (flags & noChecksumFlag) !== 0,
    preApplyChecksum: view.getBigUint64(at.preApplyChecksum[0]),
    walOffset: view.getBigInt64(at.walOffset[0]),
    walSize: view.getBigInt64(at.walSize[0]),
    walSalt1: view.getUint32(at.walSalt1[0]),
    walSalt2: view.getUint32(at.walSalt2[0]),
    nodeId: view.getBigUint64(at.nodeId[0]),
    proof: decodeProof(view),
  };
  checkHeader(header, name);
  return header;
}

function decodeProof(view: DataView): LtxProof | undefined {
  if (view.getUint32(ltxHeaderLayout.proofTag[0]) !== proofTag) return undefined;
  return {
    before: view.getBigUint64(ltxHeaderLayout.proofBefore[0]),
    after: view.getBigUint64(ltxHeaderLayout.proofAfter[0]),
  };
}

/** The rules that both directions enforce. */
function checkHeader(header: LtxHeader, name: string): void {
  const rules: readonly (readonly [keyof typeof ltxHeaderLayout, boolean, string])[] = [
    ["pageSize", isPageSize(header.pageSize), `page size ${header.pageSize} is not legal`],
    ["commit", isUint32(header.commit), `commit ${header.commit} is not a 32-bit number`],
    [
      "commit",
      header.commit > 0 || !header.noChecksum,
      "a file without checksums cannot leave an empty database",
    ],
    ["maxTxid", header.maxTxid >= header.minTxid, "max TXID is below min TXID"],
    ["timestampMs", Number.isSafeInteger(header.timestampMs), "the timestamp is out of range"],
    ["preApplyChecksum", isPreApplyLegal(header), "the pre-apply checksum is not legal here"],
    ["walOffset", isInt63(header.walOffset), "the WAL offset is negative"],
    ["walSize", isInt63(header.walSize), "the WAL size is negative"],
    [
      "walOffset",
      header.walOffset !== 0n ||
        (header.walSize === 0n && header.walSalt1 === 0 && header.walSalt2 === 0),
      "a WAL size or salt is given without a WAL offset",
    ],
    ["walSalt1", isUint32(header.walSalt1), "salt 1 is not a 32-bit number"],
    ["walSalt2", isUint32(header.walSalt2), "salt 2 is not a 32-bit number"],
    ["nodeId", isUint64(header.nodeId), "the node id is not a 64-bit number"],
  ];
  for (const [field, isLegal, problem] of rules) {
    if (isLegal) continue;
    throw ltxFault("ltx/invalid", { name, offset: ltxHeaderLayout[field][0] }, problem);
  }
  checkProof(header, name);
}

function isPreApplyLegal({ minTxid, noChecksum, preApplyChecksum }: LtxHeader): boolean {
  if (minTxid === 1n || noChecksum) return preApplyChecksum === 0n;
  return isUint64(preApplyChecksum) && isChecksum(preApplyChecksum);
}

function checkProof({ proof, minTxid }: LtxHeader, name: string): void {
  if (proof === undefined) return;
  const { before, after } = proof;
  const invalid = (field: "proofTag" | "proofBefore" | "proofAfter", problem: string): Error =>
    ltxFault("ltx/invalid", { name, offset: ltxHeaderLayout[field][0] }, problem);
  if (before === 0n && after === 0n) throw invalid("proofTag", "the proof is empty");
  if (before !== 0n && !(isUint64(before) && isChecksum(before))) {
    throw invalid("proofBefore", "the checksum before lacks bit 63");
  }
  if (after !== 0n && !(isUint64(after) && isChecksum(after))) {
    throw invalid("proofAfter", "the checksum after lacks bit 63");
  }
  if (minTxid === 1n && before !== 0n && before !== checksumFlag) {
    throw invalid("proofBefore", "a snapshot starts from an empty database, its proof does not");
  }
}

function isUint32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

function isUint64(value: bigint): boolean {
  return value >= 0n && value < 1n << 64n;
}

function isInt63(value: bigint): boolean {
  return value >= 0n && value < 1n << 63n;
}
