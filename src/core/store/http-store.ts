// Objects behind plain HTTP, read-only: any static file server, and any bucket that the public may read, from Node and from
// browsers. It cannot list: what is there has to be known from elsewhere (`createManifestStore` in core/replica).
//
// A browser asks the server's permission first ("preflight") for most request headers. `Range: bytes=a-b` needs none, so that
// is the only one that is sent there: versions are compared here, with the ETag of each answer, and not by `If-Match`.
// Where CORS hides ETag and Content-Range, the time of change takes their place, and a HEAD tells the size.
import { streamOf } from "../base/bytes.ts";
import { throwIfAborted } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import { HeadwaterError } from "../base/errors.ts";
import {
  type HttpAnswer,
  type HttpContext,
  type HttpFetch,
  cancelBody,
  checkAnswer,
  noAnswer,
} from "./http-answer.ts";
import { collectHttpBody, parseContentRange, readHttpBody } from "./http-body.ts";
import { HttpRoot, changedObject, versionOf } from "./http-root.ts";
import type {
  GetOptions,
  ListOptions,
  ObjectContent,
  ObjectInfo,
  ObjectStore,
  StoreFeatures,
} from "./object-store.ts";

export interface HttpStoreOptions {
  /** `https://host/path`, with or without a slash at its end; a query goes with every request. */
  readonly url: string;
  /** The platform's own, as a rule. */
  readonly fetch: HttpFetch;
  /** Sent with every request, such as `authorization`. In a browser they cost a preflight. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * How the question "is it another than this version" is put. `header`: with `If-None-Match`. `cache`: by the browser's
   * own cache, without a preflight.
   */
  readonly revalidation: "header" | "cache";
}

/** Up to this size parts are cut out of a whole object where the server gives nothing else: each costs the whole. */
const maxWholeBytes = 8 * 1024 * 1024;

/** Makes no request. Throws `store/url` for anything but `http:` and `https:`. */
export function createHttpStore(options: HttpStoreOptions): ObjectStore {
  return new HttpStore(options);
}

class HttpStore implements ObjectStore {
  readonly url: string;
  readonly #options: HttpStoreOptions;
  readonly #root: HttpRoot;

  constructor(options: HttpStoreOptions) {
    this.#options = options;
    this.#root = new HttpRoot(options.url);
    this.url = this.#root.url;
  }

  async features(): Promise<StoreFeatures> {
    return { createOnly: false, replaceIfUnchanged: false, listsExactTimes: false, copy: false };
  }

  async get(key: string, options: GetOptions): Promise<ObjectContent | undefined> {
    throwIfAborted(options);
    const { length, etag } = options;
    // HTTP has no empty range.
    if (length === 0) return this.#emptyContent(key, options);
    const answer = await this.#ask("GET", key, options);
    if (answer.status === 304) return { info: unchanged(key, options), body: nothing() };
    if (answer.status === 416) {
      cancelBody(answer);
      return this.#emptyContent(key, options);
    }
    if (!checkAnswer(answer, this.#about("get", key))) return undefined;
    try {
      const version = versionOf(answer);
      if (etag !== undefined && version !== "" && etag !== version) throw changedObject(key);
      return await (answer.status === 206
        ? this.#partialContent(answer, key, options)
        : this.#wholeContent(answer, key, options));
    } catch (error) {
      cancelBody(answer);
      throw error;
    }
  }

  async head(key: string, options: Waiting): Promise<ObjectInfo | undefined> {
    throwIfAborted(options);
    const answer = await this.#ask("HEAD", key, { signal: options.signal });
    cancelBody(answer);
    if (!checkAnswer(answer, this.#about("head", key))) return undefined;
    const sizeBytes = lengthOf(answer);
    if (sizeBytes === undefined) {
      throw new HeadwaterError(
        "store/failed",
        `head ${key} in ${this.url}: the server does not say how long the object is. Use another server.`,
        { data: { key } },
      );
    }
    return infoOf(key, answer, sizeBytes);
  }

  // oxlint-disable-next-line require-yield -- it lists nothing, and says why
  async *list({ prefix }: ListOptions): AsyncGenerator<ObjectInfo> {
    throw new HeadwaterError(
      "store/failed",
      `${this.url} cannot be listed (${prefix}): HTTP has no listings. A replica there needs a manifest.json.`,
    );
  }

  async put(key: string): Promise<ObjectInfo> {
    throw this.#readOnly(`put ${key}`);
  }

  async delete(keys: readonly string[]): Promise<void> {
    throw this.#readOnly(`delete ${keys.length} objects`);
  }

  async copy(from: string): Promise<ObjectInfo | undefined> {
    throw this.#readOnly(`copy ${from}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #ask(method: "GET" | "HEAD", key: string, options: GetOptions): Promise<HttpAnswer> {
    const address = this.#root.addressOf(key);
    const { fetch, headers, revalidation } = this.#options;
    const { unlessEtag, signal } = options;
    const part = this.#root.headersOf(options);
    const isConditional = unlessEtag !== undefined && revalidation === "header";
    try {
      return await fetch(address, {
        method,
        headers: {
          ...headers,
          ...part,
          ...(isConditional && { "if-none-match": `"${unlessEtag}"` }),
        },
        // What is read in whole may change under its name, as the manifest does.
        cache: part["range"] === undefined ? "no-cache" : "default",
        ...(signal !== undefined && { signal }),
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw noAnswer(error, this.#about(method.toLowerCase(), key));
    }
  }

  async #partialContent(
    answer: HttpAnswer,
    key: string,
    { offset = 0, length = Infinity, signal }: GetOptions,
  ): Promise<ObjectContent> {
    const range = parseContentRange(answer.headers.get("content-range"));
    if (range !== undefined && range.start !== offset) {
      throw new HeadwaterError(
        "store/failed",
        `get ${key} in ${this.url}: the server sent bytes from ${range.start} on, not from ${offset}. Use another server.`,
        { data: { key, offset } },
      );
    }
    const sizeBytes = range?.sizeBytes ?? (await this.head(key, { signal }))?.sizeBytes;
    if (sizeBytes === undefined) throw changedObject(key);
    const wantedBytes = Math.min(length, Math.max(0, sizeBytes - offset));
    const bodyBytes = lengthOf(answer) ?? wantedBytes;
    const about = this.#about("get", key);
    return {
      info: infoOf(key, answer, sizeBytes),
      body: readHttpBody(answer, { ...about, skipBytes: 0, wantedBytes, bodyBytes, signal }),
    };
  }

  /** The whole object, or what was asked for cut out of it. */
  async #wholeContent(
    answer: HttpAnswer,
    key: string,
    { offset = 0, length, signal }: GetOptions,
  ): Promise<ObjectContent> {
    const about = this.#about("get", key);
    const isPart = offset > 0 || length !== undefined;
    const sizeBytes = lengthOf(answer);
    if (sizeBytes === undefined) {
      // Compressed on its way, which only reading tells the size of.
      const bytes = await collectHttpBody(answer, { ...about, maxBytes: maxWholeBytes, signal });
      const body = streamOf(bytes.subarray(offset, length && offset + length));
      return { info: infoOf(key, answer, bytes.length), body };
    }
    if (isPart && sizeBytes > maxWholeBytes) throw this.#noRanges(key);
    const skipBytes = Math.min(offset, sizeBytes);
    const wantedBytes = isPart ? Math.min(length ?? Infinity, sizeBytes - skipBytes) : undefined;
    return {
      info: infoOf(key, answer, sizeBytes),
      body: readHttpBody(answer, {
        ...about,
        skipBytes,
        wantedBytes,
        bodyBytes: sizeBytes,
        signal,
      }),
    };
  }

  async #emptyContent(key: string, options: GetOptions): Promise<ObjectContent | undefined> {
    const info = await this.head(key, options);
    if (info === undefined) return undefined;
    const { etag } = options;
    if (etag !== undefined && info.etag !== "" && etag !== info.etag) throw changedObject(key);
    return { info, body: nothing() };
  }

  #about(operation: string, key: string): HttpContext {
    return { operation, key, url: this.url };
  }

  #noRanges(key: string): HeadwaterError {
    return new HeadwaterError(
      "store/failed",
      `get ${key} in ${this.url}: the server does not give parts of a file (it ignores the Range header), and the file is ` +
        "large. Restore the replica as a whole, or serve it by a server that knows ranges (nginx, Caddy, any bucket).",
      { data: { key } },
    );
  }

  #readOnly(what: string): HeadwaterError {
    return new HeadwaterError(
      "store/failed",
      `${what}: ${this.url} is read through HTTP, which cannot write. Write to the bucket or directory behind it, by s3:// ` +
        "or file://.",
    );
  }
}

/** `undefined` where the answer does not say, or says it of its compressed form. */
function lengthOf({ headers }: HttpAnswer): number | undefined {
  if (headers.get("content-encoding") !== null) return undefined;
  const length = headers.get("content-length");
  return length !== null && /^\d{1,15}$/u.test(length) ? Number(length) : undefined;
}

function infoOf(key: string, answer: HttpAnswer, sizeBytes: number): ObjectInfo {
  const modifiedMs = Date.parse(answer.headers.get("last-modified") ?? "");
  const timestampMs = Number.isNaN(modifiedMs) ? 0 : modifiedMs;
  return { key, sizeBytes, etag: versionOf(answer), timestampMs, isExactTime: false };
}

function unchanged(key: string, { unlessEtag = "" }: GetOptions): ObjectInfo {
  return { key, sizeBytes: 0, etag: unlessEtag, timestampMs: 0, isExactTime: false };
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}
