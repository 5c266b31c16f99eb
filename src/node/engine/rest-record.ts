// `rest.json` in the state directory: what the files of the database were like while the database file alone held what its
// replica holds, and the checksum of what that is. It stays true whatever happens later, so nobody has to take it back:
// it is believed while both are still the same.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { toHex64 } from "../../core/base/bytes.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import { formatTxid, parseTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { FileFacts, RestFacts } from "../capture/rest.ts";
import { urlWithoutSecrets } from "../store/open-store.ts";
import { encodeJson, readJson, replaceFile } from "./durable-file.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import type { HistoryHead } from "./history.ts";
import type { EngineParts } from "./parts.ts";

export interface RestRecord {
  readonly facts: RestFacts;
  /** Of the head, which the replica holds. */
  readonly txid: Txid;
  /** Database checksum of the head. */
  readonly after: bigint;
  /** Of the options of the replication that is at rest; see `restPurpose`. */
  readonly purpose: string;
  /** When something is due without any change, wall clock, ms; `undefined` = never. */
  readonly dueAtMs: number | undefined;
  /** Something of the levels is left to do. */
  readonly hasDueLevels: boolean;
}

const recordVersion = 1;
const fileFields = ["device", "inode", "sizeBytes", "mtimeNs", "ctimeNs"] as const;

/** Text that is the same for two replications that leave a replica alike: the same place, levels and retention. */
export function restPurpose(options: ResolvedOptions): string {
  const { levels, snapshotIntervalMs, snapshotRetentionMs, l0RetentionMs } = options;
  const { retentionGraceMs, retentionEnabled, verifyIntervalMs, verifyRestoreIntervalMs } = options;
  const purpose = [
    options.replicas.map(({ url }) => urlWithoutSecrets(url)),
    [levels, snapshotIntervalMs, snapshotRetentionMs, l0RetentionMs],
    [retentionGraceMs, retentionEnabled, options.validationIntervalMs],
    [verifyIntervalMs, verifyRestoreIntervalMs],
    ...(options.pageChecksums ? ["page-checksums"] : []),
  ];
  return createHash("sha256").update(JSON.stringify(purpose)).digest("hex").slice(0, 16);
}

/** Without levels upkeep is gathered for so long. */
const gatherMs = 3_600_000;

/**
 * When a database at rest is to be looked after, if something is due in `dueMs`: that costs a start, so all of it is done
 * together, once the slowest level has its turn. `undefined`: nothing is due.
 */
export function restDueAtMs(
  { schedule, clock }: Pick<EngineParts, "schedule" | "clock">,
  dueMs: number,
): number | undefined {
  if (!Number.isFinite(dueMs)) return undefined;
  const { levels = [] } = schedule ?? {};
  const slowestMs = levels.length === 0 ? gatherMs : Math.max(...levels);
  return clock.nowMs() + Math.max(dueMs, slowestMs);
}

/** Writes that the files are at rest; returns what was written. Lost in a power cut, it costs a comparison. */
export async function recordRest(
  { state, fileSystem }: EngineParts,
  rest: Pick<RestRecord, "facts" | "purpose" | "dueAtMs" | "hasDueLevels"> & {
    readonly head: HistoryHead;
  },
): Promise<RestRecord> {
  const { head, facts, purpose, dueAtMs, hasDueLevels } = rest;
  const { txid, after } = head;
  const record = { facts, txid, after, purpose, dueAtMs, hasDueLevels };
  const bytes = encodeJson({
    version: recordVersion,
    txid: formatTxid(txid),
    after: toHex64(after),
    purpose,
    dueAtMs,
    hasDueLevels,
    database: toJson(facts.database),
    wal: facts.wal && toJson(facts.wal),
  });
  await replaceFile(fileSystem, pathOf(state.path), bytes, { ownership: state.ownership.file });
  return record;
}

export interface RestRecordPlace {
  readonly fileSystem: FileSystem;
  readonly stateDirectory: string;
}

/** `undefined` if there is none, or none that can be read: then a database is compared. */
export async function readRestRecord({
  fileSystem,
  stateDirectory,
}: RestRecordPlace): Promise<RestRecord | undefined> {
  const value = await readJson(fileSystem, pathOf(stateDirectory)).catch(() => undefined);
  if (value?.["version"] !== recordVersion) return undefined;
  const { txid, after, purpose, dueAtMs, hasDueLevels } = value;
  const database = toFacts(value["database"]);
  const wal = toFacts(value["wal"]);
  const head = typeof txid === "string" ? parseTxid(txid) : undefined;
  const isWhole =
    typeof after === "string" &&
    /^[0-9a-f]{16}$/u.test(after) &&
    typeof purpose === "string" &&
    typeof hasDueLevels === "boolean" &&
    (dueAtMs === undefined || typeof dueAtMs === "number") &&
    (value["wal"] === undefined || wal !== undefined);
  if (!isWhole || head === undefined || database === undefined) return undefined;
  const facts = { database, wal };
  return { facts, txid: head, after: BigInt(`0x${after}`), purpose, dueAtMs, hasDueLevels };
}

function toJson(facts: FileFacts): Readonly<Record<string, string>> {
  return Object.fromEntries(fileFields.map((name) => [name, facts[name].toString()]));
}

function toFacts(value: unknown): FileFacts | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const field = (name: (typeof fileFields)[number]): bigint => {
    const text: unknown = Reflect.get(value, name);
    return typeof text === "string" && /^-?\d{1,20}$/u.test(text) ? BigInt(text) : invalid;
  };
  const facts = {
    device: field("device"),
    inode: field("inode"),
    sizeBytes: field("sizeBytes"),
    mtimeNs: field("mtimeNs"),
    ctimeNs: field("ctimeNs"),
  };
  return Object.values(facts).includes(invalid) ? undefined : facts;
}

/** No fact of a file. */
const invalid = -(1n << 70n);

function pathOf(stateDirectory: string): string {
  return join(stateDirectory, "rest.json");
}
