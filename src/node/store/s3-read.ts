// Reading objects, whole or in ranges, and what is known of them.
import { Readable } from "node:stream";
import { GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import type { GetObjectCommandOutput, HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { abortable } from "../../core/base/async.ts";
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { GetOptions, ObjectContent, ObjectInfo } from "../../core/store/object-store.ts";
import { bareEtag } from "./s3-etag.ts";
import type { S3Operation, S3Requests } from "./s3-requests.ts";
import { parseTimestamp, timestampName } from "./s3-time.ts";

export async function headObject(
  requests: S3Requests,
  key: string,
  { signal }: Waiting,
): Promise<ObjectInfo | undefined> {
  const head = await unlessAbsent(
    requests.run({ operation: "head", key, signal }, (client, options) =>
      client.send(new HeadObjectCommand(requests.target(key)), options),
    ),
  );
  return head && toInfo(key, head, head.ContentLength ?? 0);
}

export async function getObject(
  requests: S3Requests,
  key: string,
  options: GetOptions,
): Promise<ObjectContent | undefined> {
  const { offset = 0, length, etag, signal } = options;
  // HTTP has no empty range.
  if (length === 0) return emptyContent(requests, key, options);
  const about: S3Operation = { operation: "get", key, signal };
  const isRange = offset > 0 || length !== undefined;
  const end = length === undefined ? "" : String(offset + length - 1);
  const command = new GetObjectCommand({
    ...requests.target(key),
    ...(isRange ? { Range: `bytes=${offset}-${end}` } : {}),
    ...(etag === undefined ? {} : { IfMatch: `"${etag}"` }),
  });
  let output: GetObjectCommandOutput | undefined;
  try {
    output = await unlessAbsent(requests.run(about, (client, send) => client.send(command, send)));
  } catch (error) {
    // The range begins at or after the end.
    if (statusOf(error) === 416) return emptyContent(requests, key, options);
    throw error;
  }
  if (output === undefined) return undefined;
  const { Body: body, ContentLength: bodyBytes, ContentRange: range } = output;
  if (!(body instanceof Readable) || bodyBytes === undefined) {
    throw new HeadwaterError(
      "store/failed",
      `get ${key}: the store did not say how long the object is.`,
    );
  }
  // Destroyed when the loop is left; what the socket says after that is nobody's concern.
  body.on("error", () => undefined);
  if (isRange && range === undefined) {
    body.destroy();
    throw new HeadwaterError(
      "store/failed",
      `get ${key}: the store cannot read a part of an object.`,
    );
  }
  const info = toInfo(key, output, Number(range?.split("/")[1] ?? bodyBytes));
  return { info, body: readResponse(requests, about, body, bodyBytes) };
}

async function* readResponse(
  requests: S3Requests,
  about: S3Operation,
  body: Readable,
  expectedBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let readBytes = 0;
  const chunks: AsyncIterator<Uint8Array> = abortable(body, about)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await nextChunk(requests, about, chunks);
      if (step.done === true) break;
      readBytes += step.value.length;
      yield step.value;
    }
  } finally {
    body.destroy();
  }
  if (readBytes < expectedBytes) {
    throw new HeadwaterError(
      "store/unavailable",
      `get ${about.key} in ${requests.url}: the connection ended after ${readBytes} of ${expectedBytes} bytes.`,
    );
  }
}

async function nextChunk(
  requests: S3Requests,
  about: S3Operation,
  chunks: AsyncIterator<Uint8Array>,
): Promise<IteratorResult<Uint8Array>> {
  try {
    return await chunks.next();
  } catch (error) {
    about.signal?.throwIfAborted();
    throw requests.toError(error, about);
  }
}

async function emptyContent(
  requests: S3Requests,
  key: string,
  options: GetOptions,
): Promise<ObjectContent | undefined> {
  const info = await headObject(requests, key, options);
  if (info === undefined) return undefined;
  if (options.etag !== undefined && options.etag !== info.etag) {
    throw new HeadwaterError("store/changed", `get ${key}: it is not the version expected.`);
  }
  return { info, body: nothing() };
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

function toInfo(
  key: string,
  output: Pick<HeadObjectCommandOutput, "ETag" | "LastModified" | "Metadata">,
  sizeBytes: number,
): ObjectInfo {
  const exactMs = parseTimestamp(output.Metadata?.[timestampName]);
  return {
    key,
    sizeBytes,
    etag: bareEtag(output.ETag),
    timestampMs: exactMs ?? output.LastModified?.getTime() ?? 0,
    isExactTime: exactMs !== undefined,
  };
}

/** `undefined` for a 404, except where it is the bucket that is missing. */
export async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (statusOf(error) === 404 && !isMissingBucket(error)) return undefined;
    throw error;
  }
}

function isMissingBucket(error: unknown): boolean {
  return error instanceof HeadwaterError && error.code === "store/missing-bucket";
}

/** The HTTP status behind an error that `S3Requests.run` threw. */
export function statusOf(error: unknown): number | undefined {
  const status = error instanceof HeadwaterError ? error.data["status"] : undefined;
  return typeof status === "number" ? status : undefined;
}
