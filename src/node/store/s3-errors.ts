// What an answer, or the lack of one, means for a store. Decided from status and code, never from texts.
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";
import { errorCodes } from "../../core/base/error-codes.ts";
import type { ErrorCode } from "../../core/base/errors.ts";
import type { PutCondition } from "../../core/store/object-store.ts";
import { property, responseStatus } from "./s3-client.ts";

export interface S3ErrorContext {
  /** `"put"`, `"list"`, ... */
  readonly operation: string;
  readonly key: string;
  /** Without secrets. */
  readonly url: string;
  /** Who did not answer. */
  readonly host: string;
  readonly secrets: readonly string[];
  readonly condition?: PutCondition | undefined;
  /** An earlier request of this store was accepted. */
  readonly hasWorked: boolean;
}

const codeByName: Readonly<Record<string, ErrorCode>> = {
  NoSuchBucket: "store/missing-bucket",
  InvalidBucketName: "store/missing-bucket",
  AccessDenied: "store/denied",
  InvalidAccessKeyId: "store/denied",
  SignatureDoesNotMatch: "store/denied",
  ExpiredToken: "store/denied",
  InvalidToken: "store/denied",
  // The client notes the server's clock from this answer: the next request is right.
  RequestTimeTooSkewed: "store/unavailable",
  // 400 and 408: servers that shed load, or that lost a part of the body on the way.
  RequestTimeout: "store/unavailable",
  RequestCanceled: "store/unavailable",
  IncompleteBody: "store/unavailable",
  BadDigest: "store/unavailable",
  XAmzContentSHA256Mismatch: "store/unavailable",
  SlowDown: "store/unavailable",
  NoSuchUpload: "store/unavailable",
  NotImplemented: "store/failed",
};

/** Certificates do not heal by waiting. */
const tlsCodes = /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS_)/;

/** The `store/*` error for anything that the client threw. Secrets come out as `***`. */
export function toS3Error(error: unknown, context: S3ErrorContext): HeadwaterError {
  if (error instanceof HeadwaterError) return error;
  const status = responseStatus(error);
  const name = error instanceof Error ? error.name : "Error";
  const code = toCode(error, { name, status, context });
  const { operation, key, url, host, secrets } = context;
  const hide = (text: string): string =>
    secrets.reduce((shown, secret) => shown.replaceAll(secret, "***"), text);
  const what = key === "" ? `${operation} in ${url}` : `${operation} ${key} in ${url}`;
  const silence = isCredentialsError(name) ? "no credentials" : `no answer from ${host}`;
  const answer = status === undefined ? silence : `HTTP ${status} ${name}`;
  // A refused connection to a name with several addresses has a code but no text.
  const text = hide(messageOf(error) || (platformCode(error) ?? ""));
  // Only name and text of the cause: the client's own error carries the request with its signature.
  const cause = new Error(`${name}: ${text}`);
  const said = text === "" || text === "UnknownError" ? "" : `: ${text}`;
  return new HeadwaterError(code, `${what}: ${answer}${said}. ${errorCodes[code].next}`, {
    data: { operation, key, host, status, name },
    cause,
  });
}

function toCode(
  error: unknown,
  about: {
    readonly name: string;
    readonly status: number | undefined;
    readonly context: S3ErrorContext;
  },
): ErrorCode {
  const { name, status, context } = about;
  if (status === undefined) return toCodeWithoutAnswer(error, name, context);
  if (status === 412) return context.condition === "absent" ? "store/exists" : "store/changed";
  const known = codeByName[name];
  if (known !== undefined) return known;
  if (status === 401 || status === 403) return "store/denied";
  if (status === 501) return "store/failed";
  if (status === 408 || status === 409 || status === 429 || status >= 500)
    return "store/unavailable";
  return "store/failed";
}

function toCodeWithoutAnswer(error: unknown, name: string, context: S3ErrorContext): ErrorCode {
  if (isCredentialsError(name)) {
    // At the start a person has to provide them; later the service that renews them is having a bad time.
    return context.hasWorked ? "store/unavailable" : "store/denied";
  }
  const platform = platformCode(error) ?? "";
  if (tlsCodes.test(platform)) return "store/failed";
  const isNetwork =
    platform !== "" || name === "TimeoutError" || property(error, "errno") !== undefined;
  return isNetwork ? "store/unavailable" : "store/failed";
}

function isCredentialsError(name: string): boolean {
  return name === "CredentialsProviderError" || name === "TokenProviderError";
}

/** Of one object in the answer to a request that deletes many. */
export function codeOfDelete(name: string): ErrorCode {
  return codeByName[name] ?? (name === "InternalError" ? "store/unavailable" : "store/failed");
}
