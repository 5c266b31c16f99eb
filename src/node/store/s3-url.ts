// What an `s3://` URL says: bucket, path, the endpoint and region that are hidden in some hosts, and the query
// parameters in both of Litestream's spellings (`forcePathStyle`, `force-path-style`).
import { HeadwaterError } from "../../core/base/errors.ts";
import { nearestOf } from "../../core/base/nearest.ts";

/** Parameters that may be seen: they also go into logs and the state directory. */
export const plainS3Parameters = [
  "endpoint",
  "region",
  "force-path-style",
  "skip-verify",
  "sign-payload",
  "require-content-md5",
  "storage-class",
  "part-size",
  "concurrency",
  "sse-customer-algorithm",
  "sse-kms-key-id",
] as const;

const parameterNames = [...plainS3Parameters, "sse-customer-key", "sse-customer-key-md5"] as const;

export type S3ParameterName = (typeof parameterNames)[number];

export interface S3Url {
  /** A bucket name or the ARN of an access point. */
  readonly bucket: string;
  /** Without slashes at either end; may be empty. */
  readonly path: string;
  /** Told by the host, if it is more than a bucket. Host and port, perhaps with a scheme. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly parameters: Readonly<Partial<Record<S3ParameterName, string>>>;
}

/** Host forms that name more than a bucket. Groups: bucket, region. */
const hostForms: readonly {
  readonly pattern: RegExp;
  readonly endpoint: (region: string) => string | undefined;
}[] = [
  // AWS itself: the client knows its endpoints.
  { pattern: /^(.+)\.s3(?:[.-]([a-z0-9-]+))?\.amazonaws\.com$/, endpoint: () => undefined },
  {
    pattern: /^(.+)\.([a-z0-9-]+)\.digitaloceanspaces\.com$/,
    endpoint: (region) => `https://${region}.digitaloceanspaces.com`,
  },
  {
    pattern: /^(.+)\.s3\.([a-z0-9-]+)\.backblazeb2\.com$/,
    endpoint: (region) => `https://s3.${region}.backblazeb2.com`,
  },
  { pattern: /^(.+)\.s3\.filebase\.com$/, endpoint: () => "https://s3.filebase.com" },
  {
    pattern: /^(.+)\.s3\.([a-z0-9-]+)\.scw\.cloud$/,
    endpoint: (region) => `https://s3.${region}.scw.cloud`,
  },
];

/** Throws `store/url` for a form or a parameter that is not known. Its messages hold no parameter's value. */
export function parseS3Url(url: string): S3Url {
  const match = /^s3:\/\/([^?#]*)(?:\?([^#]*))?(?:#.*)?$/i.exec(url);
  if (match === null) throw badUrl("It must begin with s3://");
  const [, place = "", query = ""] = match;
  const parameters = parseParameters(query);
  const arn = /^(arn:[^:/]+:s3[^:/]*:([^:/]*):[^:/]*:accesspoint[/:][^/]+)(?:\/(.*))?$/.exec(place);
  if (arn !== null) {
    const [, bucket = "", region = "", path = ""] = arn;
    return { bucket, region, path: cleanPath(path), endpoint: undefined, parameters };
  }
  const slash = place.indexOf("/");
  const host = slash < 0 ? place : place.slice(0, slash);
  const path = slash < 0 ? "" : place.slice(slash + 1);
  if (host.includes("@")) {
    throw badUrl(
      "Credentials do not belong in a URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    );
  }
  if (host === "") throw badUrl("The name of the bucket is missing, as in s3://bucket/path");
  return { ...parseHost(host), path: cleanPath(path), parameters };
}

function parseHost(host: string): Pick<S3Url, "bucket" | "endpoint" | "region"> {
  for (const { pattern, endpoint } of hostForms) {
    const match = pattern.exec(host);
    if (match === null) continue;
    const [, bucket = "", region] = match;
    return { bucket, region, endpoint: endpoint(region ?? "") };
  }
  // A port: a server of one's own, as in s3://bucket.localhost:9000.
  const own = /^([^.:]+)\.([^:]+:\d+)$/.exec(host);
  if (own !== null) return { bucket: own[1] ?? "", endpoint: own[2], region: undefined };
  if (host.includes(":"))
    throw badUrl(`${host} names no bucket. Write s3://bucket/path?endpoint=${host}`);
  return { bucket: host, endpoint: undefined, region: undefined };
}

/** Decoded, without `.`, `..` and empty parts. */
function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of decode(path).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badUrl("It has a % that is not followed by two hexadecimal digits");
  }
}

function parseParameters(query: string): S3Url["parameters"] {
  const parameters: Partial<Record<S3ParameterName, string>> = {};
  for (const [given, value] of new URLSearchParams(query)) {
    const name = toHyphens(given);
    const known = parameterNames.find((candidate) => candidate === name);
    if (known === undefined) {
      const nearest = nearestOf(name, parameterNames);
      const hint =
        nearest === undefined
          ? `Known are ${parameterNames.join(", ")}`
          : `Did you mean ${nearest}?`;
      throw badUrl(`It has no parameter ${JSON.stringify(given)}. ${hint}`);
    }
    parameters[known] = value;
  }
  return parameters;
}

/** `sseCustomerKeyMD5` → `sse-customer-key-md5`. */
function toHyphens(name: string): string {
  return name
    .replace(/MD5$/, "Md5")
    .replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    .replace(/^-/, "");
}

function badUrl(problem: string): HeadwaterError {
  return new HeadwaterError(
    "store/url",
    `The S3 URL cannot be used. ${problem}${problem.endsWith("?") ? "" : "."}`,
  );
}
