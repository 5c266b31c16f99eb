// `verification.json` in the state directory: what the last verifications found, for `headwater status` and for the next
// start. It may be lost: then the database is verified again a little sooner.
import { join } from "node:path";
import type { FileSystem } from "../../core/base/file-system.ts";
import { toHex64 } from "../../core/base/bytes.ts";
import { parseTxid } from "../../core/ltx/txid.ts";
import { encodeJson, readJson, replaceFile } from "./durable-file.ts";
import type { VerificationStatus } from "./engine-status.ts";
import type { StateOwnership } from "./state-directory.ts";

/** The last success of one kind of verification: when, and up to which TXID; 0n = there was none yet. */
export interface VerifiedAt {
  readonly atMs: number;
  readonly txid: bigint;
}

export interface VerificationRecord {
  readonly result: Exclude<VerificationStatus["result"], "none">;
  readonly verified: VerifiedAt | undefined;
  readonly restoreVerified: VerifiedAt | undefined;
}

export interface VerificationRecordOptions {
  readonly fileSystem: FileSystem;
  readonly stateDirectory: string;
  readonly ownership: StateOwnership;
  /** Of several replicas not the first: that has the name that is told to who asks. */
  readonly replica?: string | undefined;
}

export async function writeVerification(
  { result, verified, restoreVerified }: VerificationRecord,
  options: VerificationRecordOptions,
): Promise<void> {
  const { fileSystem, ownership } = options;
  const value = {
    result,
    verifiedAt: toText(verified?.atMs),
    verifiedTxid: verified && toHex64(verified.txid),
    restoreVerifiedAt: toText(restoreVerified?.atMs),
    restoreVerifiedTxid: restoreVerified && toHex64(restoreVerified.txid),
  };
  await replaceFile(fileSystem, pathOf(options), encodeJson(value), {
    ownership: ownership.file,
  });
}

/** `undefined` if there is none; a damaged one is none. */
export async function readVerification(
  options: Omit<VerificationRecordOptions, "ownership">,
): Promise<VerificationRecord | undefined> {
  const value = await readJson(options.fileSystem, pathOf(options)).catch(() => undefined);
  const result = (["passed", "healed", "failed"] as const).find((one) => one === value?.["result"]);
  if (value === undefined || result === undefined) return undefined;
  return {
    result,
    verified: toVerifiedAt(value["verifiedAt"], value["verifiedTxid"]),
    restoreVerified: toVerifiedAt(value["restoreVerifiedAt"], value["restoreVerifiedTxid"]),
  };
}

function toVerifiedAt(at: unknown, txid: unknown): VerifiedAt | undefined {
  const atMs = typeof at === "string" ? Date.parse(at) : Number.NaN;
  const parsed = typeof txid === "string" ? parseTxid(txid) : undefined;
  return Number.isNaN(atMs) ? undefined : { atMs, txid: parsed ?? 0n };
}

function toText(atMs: number | undefined): string | undefined {
  return atMs === undefined ? undefined : new Date(atMs).toISOString();
}

function pathOf({
  stateDirectory,
  replica,
}: Pick<VerificationRecordOptions, "stateDirectory" | "replica">): string {
  const suffix = replica === undefined ? "" : `-${replica}`;
  return join(stateDirectory, `verification${suffix}.json`);
}
