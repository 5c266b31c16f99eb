// `lease.json` beside the files of a replica: who writes it, and since when (docs/formats/replica.md). Litestream lists only
// the levels, so it never sees it.
import type { Waiting } from "../base/async.ts";
import { collectBytes, toHex64 } from "../base/bytes.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import { isRecord } from "../base/record.ts";
import { bodyOf } from "../store/object-store.ts";
import type { ObjectStore, PutCondition } from "../store/object-store.ts";

export const leaseKey = "lease.json";

const leaseVersion = 1;

/** A lease is far smaller; of anything larger only so much is read. */
const maxLeaseBytes = 4096;

/** Nobody waits for longer than this because of what an object says. */
const maxTtlMs = 24 * 60 * 60 * 1000;

export interface LeaseRecord {
  /** Random, of one holder from its first to its last moment. Two leases are the same if and only if it is. */
  readonly nonce: string;
  /** As in the headers of the holder's LTX files. */
  readonly nodeId: bigint;
  /** Where the holder runs, for people: host and process id. */
  readonly owner: string;
  /** By the holder's wall clock, for people: nothing is decided by it. */
  readonly acquiredAtMs: number;
  readonly renewedAtMs: number;
  readonly ttlMs: number;
}

/** A lease as it lies in a store. */
export interface FoundLease {
  readonly etag: string;
  /** `undefined`: it cannot be read, and is somebody's all the same. */
  readonly record: LeaseRecord | undefined;
}

export function encodeLease(record: LeaseRecord): Uint8Array {
  const value = {
    version: leaseVersion,
    nonce: record.nonce,
    nodeId: toHex64(record.nodeId),
    owner: record.owner,
    acquiredAt: new Date(record.acquiredAtMs).toISOString(),
    renewedAt: new Date(record.renewedAtMs).toISOString(),
    ttlMs: record.ttlMs,
  };
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** `undefined` for anything that is not a lease of this version. */
export function decodeLease(bytes: Uint8Array): LeaseRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  if (!isRecord(value) || value["version"] !== leaseVersion) return undefined;
  const { nonce, nodeId, owner, ttlMs } = value;
  const acquiredAtMs = timeOf(value["acquiredAt"]);
  const renewedAtMs = timeOf(value["renewedAt"]);
  if (typeof nonce !== "string" || nonce === "" || typeof owner !== "string") return undefined;
  if (typeof nodeId !== "string" || !/^[0-9a-f]{16}$/u.test(nodeId)) return undefined;
  if (typeof ttlMs !== "number" || !(ttlMs > 0 && ttlMs <= maxTtlMs)) return undefined;
  if (acquiredAtMs === undefined || renewedAtMs === undefined) return undefined;
  return { nonce, nodeId: BigInt(`0x${nodeId}`), owner, acquiredAtMs, renewedAtMs, ttlMs };
}

/** The lease in a store; `undefined` if there is none. */
export async function readLease(
  store: Pick<ObjectStore, "get">,
  { signal }: Waiting,
): Promise<FoundLease | undefined> {
  const content = await store.get(leaseKey, { length: maxLeaseBytes, signal });
  if (content === undefined) return undefined;
  return { etag: content.info.etag, record: decodeLease(await collectBytes(content.body)) };
}

/** What is in the store after a put: our lease, somebody else's, or none. */
export type PutLeaseResult =
  | { readonly isOurs: true; readonly etag: string }
  | { readonly isOurs: false; readonly found: FoundLease | undefined };

/** Puts a lease. Whatever the answer is, what is in the store afterwards decides; throws if that cannot be found out. */
export async function putLease(
  store: ObjectStore,
  record: LeaseRecord,
  { condition, signal }: Waiting & { readonly condition: PutCondition | undefined },
): Promise<PutLeaseResult> {
  try {
    const { etag } = await store.put(leaseKey, bodyOf(encodeLease(record)), { condition, signal });
    return { isOurs: true, etag };
  } catch (error) {
    signal?.throwIfAborted();
    const isAnswer = hasCode(error, "store/exists", "store/changed");
    const isUnknown = error instanceof HeadwaterError && error.recovery === "retry";
    if (!isAnswer && !isUnknown) throw error;
    const found = await readLease(store, { signal });
    if (found?.record?.nonce === record.nonce) return { isOurs: true, etag: found.etag };
    if (isUnknown) throw error;
    return { isOurs: false, found };
  }
}

/** The error for a lease that is somebody else's: who has it, since when, and what to do. */
export function leaseError(
  verb: "is held by" | "was taken by",
  { record }: FoundLease,
  url: string,
): HeadwaterError {
  const holder = describeHolder(record, verb === "is held by" ? "since" : "at");
  return new HeadwaterError(
    "engine/another-writer",
    `The lease of ${url} ${verb} ${holder}. Two writers on one replica destroy its history: stop one of them, or give ` +
      "each its own URL. If the other can no longer be running, start with --take-over, or remove its lease with " +
      "headwater lease URL --break.",
    {
      data: {
        key: leaseKey,
        url,
        who: record?.owner,
        nodeId: record && toHex64(record.nodeId),
        since: record && new Date(record.acquiredAtMs).toISOString(),
      },
    },
  );
}

/** In words: who has it, since when or when it took it. */
export function describeHolder(record: LeaseRecord | undefined, word: "since" | "at"): string {
  if (record === undefined) return "a program that this Headwater does not know";
  const { nodeId, owner, acquiredAtMs } = record;
  const time = new Date(acquiredAtMs).toISOString();
  return `a Headwater with node id ${toHex64(nodeId)} ${word} ${time} (${owner})`;
}

function timeOf(text: unknown): number | undefined {
  const ms = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isFinite(ms) ? ms : undefined;
}
