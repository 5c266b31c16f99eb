// The body of an HTTP answer: exactly the bytes that were asked for, or an error.
import { abortable } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import { concatBytes } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { type HttpAnswer, type HttpBody, type HttpContext, noAnswer } from "./http-answer.ts";

/** `Content-Range: bytes start-end/size`. */
export interface ContentRange {
  readonly start: number;
  /** Of the whole object; `undefined` where the server does not say. */
  readonly sizeBytes: number | undefined;
}

/** `undefined` for a header that is absent, hidden or not understood. */
export function parseContentRange(value: string | null): ContentRange | undefined {
  const match = /^bytes (?<start>\d{1,15})-\d{1,15}\/(?<size>\d{1,15}|\*)$/u.exec(value ?? "");
  const { start, size } = match?.groups ?? {};
  if (start === undefined) return undefined;
  return { start: Number(start), sizeBytes: size === "*" ? undefined : Number(size) };
}

export interface HttpBodyOptions extends HttpContext, Waiting {
  /** Bytes of the body before those that are wanted. */
  readonly skipBytes: number;
  /** `undefined`: all there are, which `fetch` sees to. */
  readonly wantedBytes: number | undefined;
  /** Of the whole body; `undefined`: not known. */
  readonly bodyBytes?: number | undefined;
}

/** Throws `store/unavailable` for a body that ends early; what comes after the wanted bytes is not read. */
export async function* readHttpBody(
  { body }: HttpAnswer,
  options: HttpBodyOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { wantedBytes = Infinity, operation, key, url } = options;
  let skipBytes = options.skipBytes;
  let readBytes = 0;
  if (body !== null) {
    for await (const chunk of abortable(chunksOf(body, options), options)) {
      const skipped = Math.min(skipBytes, chunk.length);
      skipBytes -= skipped;
      const wanted = chunk.subarray(skipped, skipped + wantedBytes - readBytes);
      readBytes += wanted.length;
      if (wanted.length > 0) yield wanted;
      if (readBytes === wantedBytes) return;
    }
  }
  if (readBytes === wantedBytes || options.wantedBytes === undefined) return;
  throw new HeadwaterError(
    "store/unavailable",
    `${operation} ${key} in ${url}: the answer ended after ${readBytes} of ${wantedBytes} bytes.`,
    { data: { key, readBytes, wantedBytes } },
  );
}

/** All bytes of a body of unknown length. Throws `store/failed` if there are more than `maxBytes`. */
export async function collectHttpBody(
  answer: HttpAnswer,
  { maxBytes, ...context }: HttpContext & Waiting & { readonly maxBytes: number },
): Promise<Uint8Array> {
  const { operation, key, url } = context;
  const parts: Uint8Array[] = [];
  let readBytes = 0;
  const options = { ...context, skipBytes: 0, wantedBytes: undefined };
  for await (const chunk of readHttpBody(answer, options)) {
    readBytes += chunk.length;
    if (readBytes > maxBytes) {
      throw new HeadwaterError(
        "store/failed",
        `${operation} ${key} in ${url}: the server does not say how long the object is. Let it send Content-Length, and not ` +
          "compress files of a replica.",
        { data: { key } },
      );
    }
    parts.push(chunk);
  }
  return concatBytes(parts);
}

/** Leaving the loop lets go of the connection: for the next request if the body is over, or else it is closed. */
async function* chunksOf(
  body: HttpBody,
  { signal, bodyBytes, ...context }: HttpContext & Waiting & Pick<HttpBodyOptions, "bodyBytes">,
): AsyncGenerator<Uint8Array, void, undefined> {
  // Not every browser's streams can be looped over.
  const reader = body.getReader();
  let readBytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value === undefined) continue;
      readBytes += value.length;
      yield value;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw noAnswer(error, context);
  } finally {
    // Cancelled before it has told its end, a body counts as broken off, although all of it was read.
    const isOver = readBytes === bodyBytes && signal?.aborted !== true;
    const left = isOver ? reader.read() : reader.cancel();
    left.catch(() => undefined);
  }
}
