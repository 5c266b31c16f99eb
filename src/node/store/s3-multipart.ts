// Uploads in parts. All parts but the last are equal, as R2 demands. A failure aborts the upload, so that the store
// does not keep, and bill, its parts; what a crash left behind is aborted a day later.
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { PutObjectCommandInput, UploadPartCommandOutput } from "@aws-sdk/client-s3";
import { Mutex, retry } from "../../core/base/async.ts";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import { bareEtag, toEtag } from "./s3-etag.ts";
import { addHeaders, unsignedPayload } from "./s3-client.ts";
import type { S3Operation, S3Requests } from "./s3-requests.ts";
import { s3Limits } from "./s3-settings.ts";

/** An object that has been stored. */
export interface Uploaded {
  /** Without quotes. */
  readonly etag: string;
  readonly sizeBytes: number;
}

const staleAfterMs = 24 * 3600 * 1000;
const partRetry = { attempts: 6, backoff: { firstMs: 250, maxMs: 8_000 } };
const firstCapacityBytes = 64 * 1024;

/** A part of a body. Its bytes belong to whoever asked for it. */
export interface Part {
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

/** Cuts a stream of borrowed chunks into parts of equal size. */
export class PartReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #partSizeBytes: number;
  #rest: Uint8Array = new Uint8Array(0);
  #hasEnded = false;

  constructor(source: AsyncIterable<Uint8Array>, partSizeBytes: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.#partSizeBytes = partSizeBytes;
  }

  /** The next part; not to be called after the last. An empty stream has one empty part. */
  async next(): Promise<Part> {
    let buffer = new Uint8Array(Math.min(firstCapacityBytes, this.#partSizeBytes));
    let filled = 0;
    while (filled < this.#partSizeBytes && (await this.#fetch())) {
      const count = Math.min(this.#rest.length, this.#partSizeBytes - filled);
      if (filled + count > buffer.length) buffer = this.#grow(buffer, filled + count);
      buffer.set(this.#rest.subarray(0, count), filled);
      this.#rest = this.#rest.subarray(count);
      filled += count;
    }
    return { bytes: buffer.subarray(0, filled), isLast: !(await this.#fetch()) };
  }

  async close(): Promise<void> {
    if (!this.#hasEnded) await this.#source.return?.();
  }

  /** Makes `#rest` hold bytes; `false` at the end. */
  async #fetch(): Promise<boolean> {
    while (this.#rest.length === 0 && !this.#hasEnded) {
      const step = await this.#source.next();
      if (step.done === true) this.#hasEnded = true;
      else this.#rest = step.value;
    }
    return this.#rest.length > 0;
  }

  #grow(buffer: Uint8Array, neededBytes: number): Uint8Array<ArrayBuffer> {
    const capacity = Math.min(this.#partSizeBytes, Math.max(buffer.length * 4, neededBytes));
    const grown = new Uint8Array(capacity);
    grown.set(buffer);
    return grown;
  }
}

/** Uploads `first` and the rest of `parts` as one object, or leaves nothing. */
export async function uploadParts(
  requests: S3Requests,
  about: S3Operation,
  input: PutObjectCommandInput,
  first: Part,
  parts: PartReader,
): Promise<Uploaded> {
  const { IfNoneMatch, IfMatch, ...create } = input;
  const { UploadId } = await requests.run(about, (client, options) =>
    client.send(new CreateMultipartUploadCommand(create), options),
  );
  const target = { ...requests.target(about.key), UploadId };
  try {
    const sent = await sendParts(requests, about, target, first, parts);
    const { ETag } = await requests.run(about, (client, options) => {
      const Parts = sent.map(({ etag, number }) => ({ ETag: etag, PartNumber: number }));
      const complete = {
        ...target,
        MultipartUpload: { Parts },
        ...conditions(IfNoneMatch, IfMatch),
      };
      return client.send(new CompleteMultipartUploadCommand(complete), options);
    });
    const sizeBytes = sent.reduce((sum, part) => sum + part.sizeBytes, 0);
    const etag = bareEtag(ETag);
    return { etag: etag === "" ? await lookUpEtag(requests, about, sizeBytes) : etag, sizeBytes };
  } catch (error) {
    // Without the caller's signal, which may be the reason to be here. What fails is swept a day later.
    const abort = { operation: "abort upload", key: about.key };
    await requests
      .run(abort, (client) => client.send(new AbortMultipartUploadCommand(target)))
      .catch(() => undefined);
    throw error;
  }
}

/** Ceph 16 completes an upload without telling its ETag: the object itself has it. */
async function lookUpEtag(
  requests: S3Requests,
  about: S3Operation,
  sizeBytes: number,
): Promise<string> {
  const { ETag, ContentLength } = await requests.run(about, (client, options) =>
    client.send(new HeadObjectCommand(requests.target(about.key)), options),
  );
  return toEtag(ContentLength === sizeBytes ? ETag : undefined, about);
}

/** Aborts the uploads below the store's prefix that were begun more than a day ago: their writers are gone. */
export async function sweepUploads(requests: S3Requests, nowMs: number): Promise<void> {
  const about = { operation: "list uploads", key: "" };
  const { bucket, keyPrefix } = requests.settings;
  const { Uploads = [] } = await requests.run(about, (client) =>
    client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: keyPrefix })),
  );
  for (const { Key, UploadId, Initiated } of Uploads) {
    if (Initiated === undefined || Initiated.getTime() > nowMs - staleAfterMs) continue;
    const target = { Bucket: bucket, Key, UploadId };
    await requests.run(about, (client) => client.send(new AbortMultipartUploadCommand(target)));
  }
}

interface SentPart {
  readonly etag: string;
  readonly number: number;
  readonly sizeBytes: number;
}

/** Reads one part at a time, sends several. */
async function sendParts(
  requests: S3Requests,
  about: S3Operation,
  target: UploadTarget,
  first: Part,
  parts: PartReader,
): Promise<readonly SentPart[]> {
  const sent: SentPart[] = [];
  const reading = new Mutex();
  let waiting: Part | undefined = first;
  let count = 0;
  let isDone = false;
  const take = async (): Promise<(Part & { readonly number: number }) | undefined> => {
    if (isDone) return undefined;
    const part = waiting ?? (await parts.next());
    waiting = undefined;
    isDone = part.isLast;
    count += 1;
    return { ...part, number: count };
  };
  const lane = async (): Promise<void> => {
    try {
      for (;;) {
        const part = await reading.run(take);
        if (part === undefined) return;
        const etag = await sendPart(requests, about, target, part);
        sent.push({ etag, number: part.number, sizeBytes: part.bytes.length });
      }
    } finally {
      // Also when it failed: the other lanes finish their part and end.
      isDone = true;
    }
  };
  const lanes = await Promise.allSettled(
    Array.from({ length: requests.settings.concurrency }, lane),
  );
  for (const outcome of lanes) if (outcome.status === "rejected") throw outcome.reason;
  return sent.sort((a, b) => a.number - b.number);
}

async function sendPart(
  requests: S3Requests,
  about: S3Operation,
  target: UploadTarget,
  { bytes, number }: Part & { readonly number: number },
): Promise<string> {
  if (number > s3Limits.maxPartCount) {
    throw new HeadwaterError(
      "store/failed",
      `${about.key} needs more than ${s3Limits.maxPartCount} parts. Set a larger part-size in the URL.`,
    );
  }
  const command = new UploadPartCommand({
    ...target,
    PartNumber: number,
    Body: bytes,
    ContentLength: bytes.length,
  });
  if (!requests.settings.signPayload) {
    addHeaders(command, { "x-amz-content-sha256": unsignedPayload });
  }
  // A part is sent again by itself: otherwise one lost connection would start a large upload anew.
  const send = (): Promise<UploadPartCommandOutput> =>
    requests.run(about, (client, options) => client.send(command, options));
  const { ETag } = await retry(send, {
    ...partRetry,
    clock: requests.clock,
    random: requests.random,
    signal: about.signal,
    isRetryable: (error) => hasCode(error, "store/unavailable"),
  });
  // Sent back as it came: some servers compare it with its quotes.
  toEtag(ETag, about);
  return ETag ?? "";
}

type UploadTarget = ReturnType<S3Requests["target"]> & { readonly UploadId: string | undefined };

function conditions(
  ifNoneMatch: string | undefined,
  ifMatch: string | undefined,
): { readonly IfNoneMatch?: string; readonly IfMatch?: string } {
  return {
    ...(ifNoneMatch === undefined ? {} : { IfNoneMatch: ifNoneMatch }),
    ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
  };
}
