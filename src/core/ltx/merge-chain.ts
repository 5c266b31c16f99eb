// Whether LTX files follow each other, and what follows from their headers for the file they merge into. Format:
// docs/formats/ltx.md, "Merging".
import { must } from "../base/assert.ts";
import { ltxFault } from "./fault.ts";
import type { LtxHeader, LtxProof } from "./header.ts";
import { areContradictory, ltxHeaderLayout } from "./header.ts";

interface ChainedFile {
  /** In errors. */
  readonly name: string;
  readonly header: LtxHeader;
}

export interface MergedHeaderFields {
  /** WAL offset in the merged header. By default 0, as Litestream's compaction writes it. */
  readonly walOffset?: bigint | undefined;
  /** Node id in the merged header. By default 0. */
  readonly nodeId?: bigint | undefined;
}

/** Throws `ltx/order` or `ltx/invalid`, naming the first file that does not continue the one before it. */
export function checkChain(files: readonly ChainedFile[]): void {
  for (let i = 1; i < files.length; i++) {
    const { header: before } = must(files[i - 1], "an input");
    const { header: after, name } = must(files[i], "an input");
    const at = (field: keyof typeof ltxHeaderLayout): { name: string; offset: number } => ({
      name,
      offset: ltxHeaderLayout[field][0],
    });
    if (after.pageSize !== before.pageSize) {
      const problem = `page size ${after.pageSize} follows page size ${before.pageSize}`;
      throw ltxFault("ltx/invalid", at("pageSize"), problem);
    }
    if (after.minTxid > before.maxTxid + 1n || after.maxTxid <= before.maxTxid) {
      const problem = `TXIDs ${after.minTxid}-${after.maxTxid} do not follow TXID ${before.maxTxid}`;
      throw ltxFault("ltx/order", at("minTxid"), problem);
    }
    const isNext = after.minTxid === before.maxTxid + 1n;
    const left = before.proof?.after ?? 0n;
    const right = after.proof?.before ?? 0n;
    if (isNext && areContradictory(left, right)) {
      const problem = "its proof starts from another database than the file before it leaves";
      throw ltxFault("ltx/order", at("proofBefore"), problem);
    }
  }
}

/** The header of the file that has the effect of all. */
export function mergeHeaders(
  headers: readonly LtxHeader[],
  { walOffset = 0n, nodeId = 0n }: MergedHeaderFields,
): LtxHeader {
  const first = must(headers[0], "a header");
  const last = must(headers.at(-1), "a header");
  return {
    pageSize: first.pageSize,
    commit: last.commit,
    minTxid: first.minTxid,
    maxTxid: last.maxTxid,
    timestampMs: last.timestampMs,
    noChecksum: true,
    preApplyChecksum: 0n,
    walOffset,
    walSize: 0n,
    walSalt1: 0,
    walSalt2: 0,
    nodeId,
    proof: mergeProofs(first.proof, last.proof),
  };
}

/** Each end stands for itself: what the first starts from, what the last leaves. */
function mergeProofs(
  first: LtxProof | undefined,
  last: LtxProof | undefined,
): LtxProof | undefined {
  const before = first?.before ?? 0n;
  const after = last?.after ?? 0n;
  return before === 0n && after === 0n ? undefined : { before, after };
}

/** For each input the highest page that survives the inputs after it: a smaller commit cuts off what lies above. */
export function pageLimits(headers: readonly LtxHeader[]): readonly number[] {
  const limits: number[] = [];
  let limit = Infinity;
  for (let i = headers.length - 1; i >= 0; i--) {
    limits[i] = limit;
    limit = Math.min(limit, headers[i]?.commit ?? 0);
  }
  return limits;
}
