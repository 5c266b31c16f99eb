// What an HTTP answer, or the lack of one, means for a store. Decided from status and code, never from texts.
import { HeadwaterError, messageOf, platformCode } from "../base/errors.ts";
import { errorCodes } from "../base/error-codes.ts";
import type { ErrorCode } from "../base/errors.ts";

/** What the store needs of `fetch`: every platform's own is one. */
export type HttpFetch = (url: string, request: HttpRequest) => Promise<HttpAnswer>;

export interface HttpRequest {
  readonly method: "GET" | "HEAD";
  readonly headers: Record<string, string>;
  /** Of a browser's own cache. */
  readonly cache: "default" | "no-cache";
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: HttpBody | null;
}

/** A `ReadableStream` of bytes. */
export interface HttpBody {
  getReader(): HttpReader;
  cancel(): Promise<void>;
}

export interface HttpReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

export interface HttpContext {
  /** `"get"` or `"head"`. */
  readonly operation: string;
  readonly key: string;
  /** Without secrets. */
  readonly url: string;
}

/** Certificates do not heal by waiting. */
const tlsCodes = /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS_)/u;

/** True for an answer with an object, false for the absence of one. Otherwise throws the `store/*` error, the body let go. */
export function checkAnswer(answer: HttpAnswer, context: HttpContext): boolean {
  const { status } = answer;
  if (status === 200 || status === 206) return true;
  cancelBody(answer);
  if (status === 404 || status === 410) return false;
  const { operation, key, url } = context;
  const code = codeOf(status);
  throw new HeadwaterError(
    code,
    `${operation} ${key} in ${url}: HTTP ${status}. ${errorCodes[code].next}`,
    { data: { operation, key, status } },
  );
}

/** The error for a request without an answer, or an answer that broke off. */
export function noAnswer(error: unknown, { operation, key, url }: HttpContext): HeadwaterError {
  const cause = error instanceof Error ? error.cause : undefined;
  const platform = platformCode(cause) ?? platformCode(error) ?? "";
  const code = tlsCodes.test(platform) ? "store/failed" : "store/unavailable";
  // `fetch` itself only says that it failed.
  const why = [messageOf(error), cause === undefined ? "" : messageOf(cause) || platform];
  const said = why.filter((text) => text !== "").join(": ");
  return new HeadwaterError(
    code,
    `${operation} ${key} in ${url}: no answer (${said}). ${errorCodes[code].next} In a browser, check that the server ` +
      "allows this origin (CORS).",
    { data: { operation, key }, cause: error },
  );
}

/** Lets go of a body that nobody reads. */
export function cancelBody({ body }: HttpAnswer): void {
  // A connection that has failed already has nothing to let go of.
  body?.cancel().catch(() => undefined);
}

function codeOf(status: number): ErrorCode {
  if (status === 401 || status === 403) return "store/denied";
  if (status === 501 || status === 505) return "store/failed";
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return "store/unavailable";
  return "store/failed";
}
