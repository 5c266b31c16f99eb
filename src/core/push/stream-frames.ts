// The frames of the stream in which a primary sends what it has staged to those who follow it. Small enough to be read from
// a `fetch` body anywhere. Format: docs/formats/stream.md.
import { assert, unreachable } from "../base/assert.ts";
import { viewOf } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";

/** One message of a primary. TXIDs are 0n for none, checksums 0n for unknown. */
export type StreamFrame =
  | HelloFrame
  /** A staged LTX file, bytes unchanged. It begins right after the TXID that the follower has. */
  | { readonly kind: "file"; readonly bytes: Uint8Array }
  /** Every TXID up to it is in all replicas of the primary. */
  | { readonly kind: "durable"; readonly txid: bigint }
  /** The primary lives. Its wall clock, ms. */
  | { readonly kind: "heartbeat"; readonly timeMs: number }
  /** What comes next cannot be had here: read the store, then connect again. The last frame. */
  | { readonly kind: "reset"; readonly headTxid: bigint; readonly durableTxid: bigint }
  /** The primary ends the stream in order. The last frame. */
  | { readonly kind: "end" };

/** The first frame. */
export interface HelloFrame {
  readonly kind: "hello";
  /** Something is sent at least so often. */
  readonly heartbeatMs: number;
  /** The newest TXID that is staged, and the database checksum after it. */
  readonly headTxid: bigint;
  readonly headChecksum: bigint;
  readonly durableTxid: bigint;
}

/** Largest LTX file that is sent; what is larger is read from the store. */
export const maxStreamedFileBytes = 16 * 1024 * 1024;

/** Before each payload: [offset, size] in bytes. All integers are big-endian. */
export const streamFrameLayout = {
  sizeBytes: [0, 4],
  kind: [4, 1],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

export const streamHelloLayout = {
  magic: [0, 4],
  heartbeatMs: [4, 4],
  headTxid: [8, 8],
  headChecksum: [16, 8],
  durableTxid: [24, 8],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

export const streamDurableLayout = {
  txid: [0, 8],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

export const streamHeartbeatLayout = {
  timeMs: [0, 8],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

export const streamResetLayout = {
  headTxid: [0, 8],
  durableTxid: [8, 8],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

const frameHeaderSizeBytes = 5;

/** "HWS1" */
const magic = 0x4857_5331;

/** The byte and the payload size of each kind; a file's is its own. */
const kinds = {
  hello: { byte: 1, sizeBytes: 32 },
  file: { byte: 2, sizeBytes: undefined },
  durable: { byte: 3, sizeBytes: 8 },
  heartbeat: { byte: 4, sizeBytes: 8 },
  reset: { byte: 5, sizeBytes: 16 },
  end: { byte: 6, sizeBytes: 0 },
} as const satisfies Readonly<
  Record<StreamFrame["kind"], { readonly byte: number; readonly sizeBytes: number | undefined }>
>;

const kindByByte: ReadonlyMap<number, StreamFrame["kind"]> = new Map([
  [kinds.hello.byte, "hello"],
  [kinds.file.byte, "file"],
  [kinds.durable.byte, "durable"],
  [kinds.heartbeat.byte, "heartbeat"],
  [kinds.reset.byte, "reset"],
  [kinds.end.byte, "end"],
]);

/** The bytes of a frame, in parts: those of a file are not copied. */
export function encodeFrame(frame: StreamFrame): readonly Uint8Array[] {
  const payload = frame.kind === "file" ? frame.bytes : encodePayload(frame);
  assert(payload.length <= maxStreamedFileBytes, "a frame is too large for the stream");
  const head = new Uint8Array(frameHeaderSizeBytes);
  const view = viewOf(head);
  view.setUint32(streamFrameLayout.sizeBytes[0], payload.length);
  view.setUint8(streamFrameLayout.kind[0], kinds[frame.kind].byte);
  return [head, payload];
}

function encodePayload(frame: Exclude<StreamFrame, { kind: "file" }>): Uint8Array {
  const bytes = new Uint8Array(kinds[frame.kind].sizeBytes);
  const view = viewOf(bytes);
  switch (frame.kind) {
    case "hello": {
      const at = streamHelloLayout;
      view.setUint32(at.magic[0], magic);
      view.setUint32(at.heartbeatMs[0], frame.heartbeatMs);
      view.setBigUint64(at.headTxid[0], frame.headTxid);
      view.setBigUint64(at.headChecksum[0], frame.headChecksum);
      view.setBigUint64(at.durableTxid[0], frame.durableTxid);
      return bytes;
    }
    case "durable":
      view.setBigUint64(streamDurableLayout.txid[0], frame.txid);
      return bytes;
    case "heartbeat":
      view.setBigUint64(streamHeartbeatLayout.timeMs[0], BigInt(frame.timeMs));
      return bytes;
    case "reset":
      view.setBigUint64(streamResetLayout.headTxid[0], frame.headTxid);
      view.setBigUint64(streamResetLayout.durableTxid[0], frame.durableTxid);
      return bytes;
    case "end":
      return bytes;
    default:
      return unreachable(frame);
  }
}

/**
 * The frames of a body, in chunks of any size. Ends after the last frame; throws `push/stream` if the body ends before it,
 * or is no such stream. The bytes of a file are the caller's. Kinds of frames that are not known are passed over.
 */
export async function* decodeFrames(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<StreamFrame, void, undefined> {
  const head = new Uint8Array(frameHeaderSizeBytes);
  let payload: Uint8Array<ArrayBuffer> | undefined;
  let filled = 0;
  let isFirst = true;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length || isWhole(payload, filled);) {
      const into = payload ?? head;
      const part = chunk.subarray(at, at + into.length - filled);
      into.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < into.length) break;
      filled = 0;
      if (payload === undefined) {
        payload = new Uint8Array(payloadSize(head, isFirst));
        continue;
      }
      const frame = decodePayload(head, payload);
      payload = undefined;
      isFirst = false;
      if (frame === undefined) continue;
      yield frame;
      if (frame.kind === "reset" || frame.kind === "end") return;
    }
  }
  throw broken("it ends without a last frame");
}

/** An empty payload is whole before another byte comes. */
function isWhole(payload: Uint8Array | undefined, filled: number): boolean {
  return payload !== undefined && filled === payload.length;
}

function payloadSize(head: Uint8Array, isFirst: boolean): number {
  const view = viewOf(head);
  const sizeBytes = view.getUint32(streamFrameLayout.sizeBytes[0]);
  const byte = view.getUint8(streamFrameLayout.kind[0]);
  const kind = kindByByte.get(byte);
  if (isFirst && kind !== "hello") throw broken("it does not begin as one");
  if (!isFirst && kind === "hello") throw broken("it begins twice");
  if (sizeBytes > maxStreamedFileBytes) throw broken(`a frame of ${sizeBytes} bytes is too large`);
  const expected = kind === undefined ? undefined : kinds[kind].sizeBytes;
  if (expected !== undefined && sizeBytes !== expected) {
    throw broken(`a frame of kind ${byte} has ${sizeBytes} bytes`);
  }
  return sizeBytes;
}

function decodePayload(head: Uint8Array, bytes: Uint8Array): StreamFrame | undefined {
  const kind = kindByByte.get(viewOf(head).getUint8(streamFrameLayout.kind[0]));
  const view = viewOf(bytes);
  switch (kind) {
    case "hello": {
      const at = streamHelloLayout;
      if (view.getUint32(at.magic[0]) !== magic) throw broken("it does not begin as one");
      return {
        kind,
        heartbeatMs: view.getUint32(at.heartbeatMs[0]),
        headTxid: view.getBigUint64(at.headTxid[0]),
        headChecksum: view.getBigUint64(at.headChecksum[0]),
        durableTxid: view.getBigUint64(at.durableTxid[0]),
      };
    }
    case "file":
      return { kind, bytes };
    case "durable":
      return { kind, txid: view.getBigUint64(streamDurableLayout.txid[0]) };
    case "heartbeat":
      return { kind, timeMs: Number(view.getBigUint64(streamHeartbeatLayout.timeMs[0])) };
    case "reset":
      return {
        kind,
        headTxid: view.getBigUint64(streamResetLayout.headTxid[0]),
        durableTxid: view.getBigUint64(streamResetLayout.durableTxid[0]),
      };
    case "end":
      return { kind };
    case undefined:
      return undefined;
    default:
      return unreachable(kind);
  }
}

function broken(problem: string): HeadwaterError {
  return new HeadwaterError(
    "push/stream",
    `The stream of the primary is not what it must be: ${problem}. The follower reads the store and connects again.`,
  );
}
