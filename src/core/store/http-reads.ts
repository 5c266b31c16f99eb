// Objects behind plain HTTP for a reader that stands still: the requests of `createHttpStore`, and its judgement of the answers,
// one after the other.
import { HeadwaterError } from "../base/errors.ts";
import type { BlockingContent, BlockingReads, GetNowOptions } from "./blocking-reads.ts";
import { checkAnswer, noAnswer } from "./http-answer.ts";
import { parseContentRange } from "./http-body.ts";
import { HttpRoot, changedObject, versionOf } from "./http-root.ts";

/** A request that blocks until it is answered: in a worker `XMLHttpRequest` is one. Throws if there is no answer. */
export type HttpFetchNow = (
  url: string,
  request: { readonly headers: Readonly<Record<string, string>> },
) => HttpAnswerNow;

export interface HttpAnswerNow {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface HttpReadsOptions {
  /** As for `createHttpStore`. */
  readonly url: string;
  readonly fetchNow: HttpFetchNow;
}

/** Times that a request is made which is not answered: there is no waiting between them. */
const attempts = 3;

/** Makes no request. Throws `store/url` for anything but `http:` and `https:`. */
export function createHttpReads({ url, fetchNow }: HttpReadsOptions): BlockingReads {
  const root = new HttpRoot(url);
  return {
    getNow: (key, options) => {
      for (let attempt = 1; ; attempt++) {
        try {
          return getNow(root, fetchNow, { key, ...options });
        } catch (error) {
          const isRetryable = error instanceof HeadwaterError && error.recovery === "retry";
          if (!isRetryable || attempt === attempts) throw error;
        }
      }
    },
  };
}

function getNow(
  root: HttpRoot,
  fetchNow: HttpFetchNow,
  asked: GetNowOptions & { readonly key: string },
): BlockingContent | undefined {
  const { key, etag } = asked;
  const context = { operation: "get", key, url: root.url };
  let answer: HttpAnswerNow;
  try {
    answer = fetchNow(root.addressOf(key), { headers: root.headersOf(asked) });
  } catch (error) {
    throw noAnswer(error, context);
  }
  const { status, headers } = answer;
  // It ends before the part that was asked for.
  const isBeyond = status === 416;
  if (!isBeyond && !checkAnswer({ status, headers, body: null }, context)) return undefined;
  const version = versionOf(answer);
  if (etag !== undefined && version !== "" && etag !== version) throw changedObject(key);
  const content = partOf(answer, asked);
  if (content !== undefined) return { etag: version, ...content };
  throw new HeadwaterError(
    "store/failed",
    `get ${key} in ${root.url}: the server sent other bytes than were asked for. Use another server.`,
    { data: { key } },
  );
}

/** What was asked for out of what has come; `undefined` if it is not in it. */
function partOf(
  { status, headers, bytes }: HttpAnswerNow,
  { offset = 0, length = Infinity }: GetNowOptions,
): Omit<BlockingContent, "etag"> | undefined {
  if (status === 416) return { sizeBytes: undefined, bytes: new Uint8Array(0) };
  // A server that does not know parts sends the whole.
  if (status === 200) {
    return { sizeBytes: bytes.length, bytes: bytes.slice(offset, offset + length) };
  }
  const range = parseContentRange(headers.get("content-range"));
  if (range !== undefined && range.start !== offset) return undefined;
  return { sizeBytes: range?.sizeBytes, bytes: bytes.subarray(0, length) };
}
