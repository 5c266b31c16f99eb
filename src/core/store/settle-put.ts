// After a put whose outcome is unknown: what does the store hold? Nothing is decided from an error alone
// (architecture law 6).
import type { Waiting } from "../base/async.ts";
import { bytesEqual } from "../base/bytes.ts";
import type { ObjectBody, ObjectInfo, ObjectStore } from "./object-store.ts";

/** The object under `key` if its bytes are those of `body`, otherwise `undefined`. Reads both. */
export async function findEqualObject(
  store: Pick<ObjectStore, "get">,
  key: string,
  body: ObjectBody,
  { signal }: Waiting,
): Promise<ObjectInfo | undefined> {
  const content = await store.get(key, { signal });
  if (content === undefined) return undefined;
  const isEqual = await sameBytes(content.body, body.open({ signal }));
  return isEqual ? content.info : undefined;
}

/** Compares two streams whose chunks need not line up, and closes both. */
async function sameBytes(
  a: AsyncIterable<Uint8Array>,
  b: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const others = b[Symbol.asyncIterator]();
  let other: Uint8Array = new Uint8Array(0);
  /** Makes `other` hold bytes; `false` at the end. */
  const refill = async (): Promise<boolean> => {
    while (other.length === 0) {
      const step = await others.next();
      if (step.done === true) return false;
      other = step.value;
    }
    return true;
  };
  try {
    for await (const chunk of a) {
      for (let at = 0; at < chunk.length;) {
        if (!(await refill())) return false;
        const count = Math.min(other.length, chunk.length - at);
        if (!bytesEqual(chunk.subarray(at, at + count), other.subarray(0, count))) return false;
        other = other.subarray(count);
        at += count;
      }
    }
    return !(await refill());
  } finally {
    await others.return?.();
  }
}
