// Who else has written an object of the replica, as far as the object tells.
import { collectBytes, toHex64 } from "../../core/base/bytes.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { decodeHeader, ltxHeaderSizeBytes } from "../../core/ltx/header.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { Waiting } from "./waiting.ts";

/** The error that says who wrote `key`, and when. Reads its header; never throws. */
export async function anotherWriter(
  store: ObjectStore,
  key: string,
  { signal }: Waiting,
): Promise<HeadwaterError> {
  const { who, since } = await writerOf(store, key, { signal });
  const when = since === undefined ? "" : ` at ${since}`;
  return new HeadwaterError(
    "engine/another-writer",
    `${key} in ${store.url} was written by ${who}${when}. ` +
      `Two writers on one replica destroy its history: stop the other one, or give each its own URL.`,
    { data: { key, url: store.url, who, since } },
  );
}

async function writerOf(
  store: ObjectStore,
  key: string,
  { signal }: Waiting,
): Promise<{ readonly who: string; readonly since: string | undefined }> {
  try {
    const content = await store.get(key, { length: ltxHeaderSizeBytes, signal });
    const bytes = content === undefined ? new Uint8Array(0) : await collectBytes(content.body);
    const { nodeId, timestampMs } = decodeHeader(bytes);
    const who = nodeId === 0n ? "a Litestream" : `a Headwater with node id ${toHex64(nodeId)}`;
    return { who, since: new Date(timestampMs).toISOString() };
  } catch {
    // It cannot be read, or is no LTX file: the message then says less, the conflict stays the same.
    return { who: "an unknown program", since: undefined };
  }
}
