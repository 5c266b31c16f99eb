// Putting objects. Up to the part size, and whenever a condition has to hold, an object is one request with an exact
// length; everything else is sent in equal parts, several at a time. Conditions are only trusted on single requests:
// some servers ignore them when a multipart upload is completed.
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { HeadwaterError } from "../../core/base/errors.ts";
import { readBody } from "../../core/store/object-body.ts";
import type { ObjectBody, PutOptions } from "../../core/store/object-store.ts";
import { addHeaders, unsignedPayload } from "./s3-client.ts";
import { toEtag } from "./s3-etag.ts";
import { PartReader, sweepUploads, uploadParts } from "./s3-multipart.ts";
import type { Uploaded } from "./s3-multipart.ts";
import type { S3Operation, S3Requests } from "./s3-requests.ts";
import { s3Limits } from "./s3-settings.ts";
import { formatTimestamp, timestampName } from "./s3-time.ts";

export interface UploadOptions extends PutOptions {
  /** How this server wants an ETag in a condition. */
  readonly formatEtag: (etag: string) => string;
  /** Called when the condition can only be checked beforehand, because the object has to be sent in parts. */
  readonly onUnfenced: () => void;
}

/** Stores `body` under `key`, whole or not at all. Throws `store/*` errors, and those of the body as they are. */
export async function uploadObject(
  requests: S3Requests,
  key: string,
  body: ObjectBody,
  options: UploadOptions,
): Promise<Uploaded> {
  const { partSizeBytes } = requests.settings;
  const { sizeBytes } = body;
  const about: S3Operation = {
    operation: "put",
    key,
    condition: options.condition,
    signal: options.signal,
  };
  const input = toInput(requests, key, options);
  const isSingle = sizeBytes !== undefined && sizeBytes <= s3Limits.maxSinglePutBytes;
  if (isSingle && sizeBytes > partSizeBytes && options.condition !== undefined) {
    await refuseIfPresent(requests, about);
    return putStream(requests, about, input, body, sizeBytes);
  }
  const parts = new PartReader(readBody(body, key, options), partSizeFor(sizeBytes, partSizeBytes));
  try {
    const first = await parts.next();
    if (first.isLast) return await putBytes(requests, about, input, first.bytes);
    // The condition goes with the completion as well, where some servers ignore it: the check before is all they do.
    if (options.condition !== undefined) {
      options.onUnfenced();
      await refuseIfPresent(requests, about);
    }
    await requests.sweepOnce(() => sweepUploads(requests, requests.clock.nowMs()));
    return await uploadParts(requests, about, input, first, parts);
  } finally {
    await parts.close();
  }
}

/** Parts are equal, and so large that their number suffices for an object whose size is known. */
function partSizeFor(sizeBytes: number | undefined, partSizeBytes: number): number {
  const mebibyte = 1024 * 1024;
  const needed = Math.ceil((sizeBytes ?? 0) / (s3Limits.maxPartCount * 0.9) / mebibyte) * mebibyte;
  return Math.max(partSizeBytes, needed);
}

function toInput(requests: S3Requests, key: string, options: UploadOptions): PutObjectCommandInput {
  const { storageClass, sse } = requests.settings;
  const { condition, timestampMs, formatEtag, web } = options;
  return {
    ...requests.target(key),
    ...(timestampMs === undefined
      ? {}
      : { Metadata: { [timestampName]: formatTimestamp(timestampMs) } }),
    ...(web === undefined ? {} : { ContentType: web.contentType, CacheControl: web.cacheControl }),
    ...(condition === "absent" ? { IfNoneMatch: "*" } : {}),
    ...(typeof condition === "object" ? { IfMatch: formatEtag(condition.etag) } : {}),
    // The class is passed on as given: the server knows which ones it has.
    ...(storageClass === undefined ? {} : { StorageClass: toStorageClass(storageClass) }),
    ...(sse.kind === "kms" ? { ServerSideEncryption: "aws:kms", SSEKMSKeyId: sse.keyId } : {}),
  };
}

function toStorageClass(text: string): NonNullable<PutObjectCommandInput["StorageClass"]> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the type lists AWS's classes; others have their own
  return text as NonNullable<PutObjectCommandInput["StorageClass"]>;
}

/** A large body should not travel only to be refused. */
async function refuseIfPresent(requests: S3Requests, about: S3Operation): Promise<void> {
  if (about.condition !== "absent") return;
  try {
    await requests.run({ ...about, condition: undefined }, (client, options) =>
      client.send(new HeadObjectCommand(requests.target(about.key)), options),
    );
  } catch (error) {
    if (error instanceof HeadwaterError && error.data["status"] === 404) return;
    throw error;
  }
  throw new HeadwaterError(
    "store/exists",
    `There is an object ${about.key} in ${requests.url} already.`,
    {
      data: { key: about.key },
    },
  );
}

async function putBytes(
  requests: S3Requests,
  about: S3Operation,
  input: PutObjectCommandInput,
  bytes: Uint8Array,
): Promise<Uploaded> {
  const command = new PutObjectCommand({ ...input, Body: bytes, ContentLength: bytes.length });
  if (!requests.settings.signPayload)
    addHeaders(command, { "x-amz-content-sha256": unsignedPayload });
  const { ETag } = await requests.run(about, (client, options) => client.send(command, options));
  return { etag: toEtag(ETag, about), sizeBytes: bytes.length };
}

/** One request of any size, without holding the body: read once for its hash, which is signed, and once to send it. */
async function putStream(
  requests: S3Requests,
  about: S3Operation,
  input: PutObjectCommandInput,
  body: ObjectBody,
  sizeBytes: number,
): Promise<Uploaded> {
  const hash = requests.settings.signPayload ? await hashBody(body, about) : unsignedPayload;
  // Its own controller: when the body fails, the request must not wait for bytes that will never come.
  const controller = new AbortController();
  const onAbort = (): void => controller.abort();
  about.signal?.addEventListener("abort", onAbort);
  let failure: { readonly error: unknown } | undefined;
  const stream = Readable.from(copyChunks(readBody(body, about.key, about)), { objectMode: false });
  stream.on("error", (error) => {
    failure ??= { error };
    controller.abort();
  });
  const command = new PutObjectCommand({ ...input, Body: stream, ContentLength: sizeBytes });
  addHeaders(command, { "x-amz-content-sha256": hash });
  try {
    const { ETag } = await requests.run(about, (client) =>
      client.send(command, { abortSignal: controller.signal }),
    );
    return { etag: toEtag(ETag, about), sizeBytes };
  } catch (error) {
    // Refused before it was sent whole: the connection still waits for the rest.
    controller.abort();
    throw failure === undefined ? error : failure.error;
  } finally {
    about.signal?.removeEventListener("abort", onAbort);
    stream.destroy();
  }
}

async function hashBody(body: ObjectBody, about: S3Operation): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of readBody(body, about.key, about)) hash.update(chunk);
  return hash.digest("hex");
}

/** The socket keeps what it is given until it is sent, longer than a borrowed chunk lives. */
async function* copyChunks(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}
