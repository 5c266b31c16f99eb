// Everything the S3 store needs to know, from the URL, the environment and what is known of the provider behind an
// endpoint. The provider table holds defaults only: what a server really can do is tried (s3-probe.ts).
import { HeadwaterError } from "../../core/base/errors.ts";
import { parseS3Url } from "./s3-url.ts";
import type { S3ParameterName, S3Url } from "./s3-url.ts";
import type { StoreSecrets } from "./store-secrets.ts";

const mebibyte = 1024 * 1024;

/** Sizes in bytes, times in milliseconds. */
export const s3Limits = {
  minPartSizeBytes: 5 * mebibyte,
  maxPartSizeBytes: 5 * 1024 * mebibyte,
  maxSinglePutBytes: 5 * 1024 * mebibyte,
  maxPartCount: 10_000,
  deleteBatch: 1000,
  defaultPartSizeBytes: 8 * mebibyte,
  defaultConcurrency: 4,
  connectTimeoutMs: 10_000,
  /** Nothing sent and nothing received for so long, in any phase of a request: the connection is dead. */
  idleTimeoutMs: 60_000,
} as const;

export interface S3Settings {
  readonly bucket: string;
  /** What every key begins with: the path and a slash, as Litestream does also for an empty path. */
  readonly keyPrefix: string;
  /** With scheme; `undefined` = AWS. */
  readonly endpoint: string | undefined;
  /** `undefined` = to be looked up (AWS only). */
  readonly region: string | undefined;
  readonly credentials: S3Credentials | undefined;
  readonly forcePathStyle: boolean;
  readonly skipVerify: boolean;
  readonly signPayload: boolean;
  readonly requireContentMd5: boolean;
  readonly storageClass: string | undefined;
  readonly partSizeBytes: number;
  readonly concurrency: number;
  readonly sse: S3Encryption;
  readonly provider: S3Provider;
}

/** Secret. */
interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

type S3Encryption =
  | { readonly kind: "none" }
  /** The key is secret. */
  | { readonly kind: "customer"; readonly key: string; readonly keyMd5: string | undefined }
  | { readonly kind: "kms"; readonly keyId: string };

interface S3Provider {
  readonly name: string;
  readonly forcePathStyle?: boolean;
  readonly requireContentMd5?: boolean;
  readonly concurrency?: number;
  readonly region?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const providers: readonly { readonly host: RegExp; readonly provider: S3Provider }[] = [
  {
    host: /^(fly\.storage\.tigris\.dev|t3\.storage\.dev)$/,
    provider: {
      name: "Tigris",
      requireContentMd5: false,
      forcePathStyle: false,
      region: "auto",
      headers: { "x-tigris-consistent": "true" },
    },
  },
  {
    host: /\.r2\.cloudflarestorage\.com$/,
    provider: { name: "R2", concurrency: 2, region: "auto" },
  },
  { host: /\.backblazeb2\.com$/, provider: { name: "B2", forcePathStyle: true } },
  { host: /\.supabase\.co$/, provider: { name: "Supabase", forcePathStyle: true } },
  { host: /^s3\.filebase\.com$/, provider: { name: "Filebase", forcePathStyle: true } },
  { host: /\.digitaloceanspaces\.com$/, provider: { name: "DigitalOcean", forcePathStyle: false } },
  { host: /\.scw\.cloud$/, provider: { name: "Scaleway" } },
  { host: /\.your-objectstorage\.com$/, provider: { name: "Hetzner" } },
  {
    host: /(^|\.)storage\.googleapis\.com$/,
    provider: { name: "Google Cloud Storage", region: "auto" },
  },
];

export type Environment = Readonly<Record<string, string | undefined>>;

/** Throws `store/url` for what cannot be meant. */
export function toS3Settings(
  url: string,
  environment: Environment,
  secrets: StoreSecrets = {},
): S3Settings {
  const parsed = parseS3Url(url);
  const customerKey = nonEmpty(secrets.sseCustomerKey);
  const parameters =
    customerKey === undefined
      ? parsed.parameters
      : { ...parsed.parameters, "sse-customer-key": customerKey };
  const endpoint = toEndpoint(parameters.endpoint ?? parsed.endpoint ?? endpointIn(environment));
  const provider = endpoint === undefined ? { name: "AWS" } : providerOf(endpoint);
  const sse = toEncryption(parameters);
  if (
    sse.kind === "customer" &&
    endpoint?.protocol === "http:" &&
    !isPrivateHost(endpoint.hostname)
  ) {
    throw invalid(
      "sse-customer-key",
      "needs an https endpoint: the key travels with every request",
    );
  }
  return {
    bucket: parsed.bucket,
    keyPrefix: `${parsed.path}/`,
    endpoint: endpoint?.href.replace(/\/$/, ""),
    region: toRegion(parsed, endpoint, provider),
    credentials: toCredentials(environment, secrets),
    forcePathStyle:
      toBoolean(parameters, "force-path-style") ??
      provider.forcePathStyle ??
      endpoint !== undefined,
    skipVerify: toBoolean(parameters, "skip-verify") ?? false,
    signPayload: toBoolean(parameters, "sign-payload") ?? true,
    requireContentMd5:
      toBoolean(parameters, "require-content-md5") ?? provider.requireContentMd5 ?? true,
    storageClass: nonEmpty(parameters["storage-class"]),
    partSizeBytes: toPartSize(parameters),
    concurrency:
      toInteger(parameters, "concurrency") ?? provider.concurrency ?? s3Limits.defaultConcurrency,
    sse,
    provider,
  };
}

/** Every text of the settings that must never be shown. */
export function secretsOf({ credentials, sse }: S3Settings): readonly string[] {
  const customerKey = sse.kind === "customer" ? sse.key : undefined;
  const texts = [credentials?.secretAccessKey, credentials?.sessionToken, customerKey];
  return texts.flatMap((text) => nonEmpty(text) ?? []);
}

/** The SDK's own names count as well: it would use them without our knowing. */
function endpointIn(environment: Environment): string | undefined {
  return ["LITESTREAM_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
    .map((name) => nonEmpty(environment[name]))
    .find((value) => value !== undefined);
}

function providerOf(endpoint: URL): S3Provider {
  const known = providers.find(({ host }) => host.test(endpoint.hostname));
  return known?.provider ?? { name: "S3-compatible" };
}

function toEndpoint(text: string | undefined): URL | undefined {
  if (nonEmpty(text) === undefined) return undefined;
  const given = String(text);
  const withScheme = /^https?:\/\//i.test(given) ? given : `${schemeFor(given)}://${given}`;
  const endpoint = URL.parse(withScheme);
  if (endpoint === null || endpoint.username !== "" || endpoint.password !== "") {
    throw invalid("endpoint", "must be a host, with a port and http:// or https:// if need be");
  }
  return endpoint;
}

function schemeFor(hostAndPort: string): "http" | "https" {
  const host = URL.parse(`http://${hostAndPort}`)?.hostname ?? "";
  return isPrivateHost(host) ? "http" : "https";
}

/** This machine, or an address that the internet does not route. */
function isPrivateHost(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost") || host === "[::1]") return true;
  if (/^\[f[cd]/i.test(host)) return true;
  return /^(127\.|10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.)/.test(host);
}

function toRegion(
  { region, parameters }: S3Url,
  endpoint: URL | undefined,
  provider: S3Provider,
): string | undefined {
  const explicit = nonEmpty(parameters.region) ?? nonEmpty(region);
  if (explicit !== undefined || endpoint === undefined) return explicit;
  return provider.region ?? "us-east-1";
}

/** A given pair wins; then one in the environment wins over profiles, as in Litestream; without one the SDK looks in all its places. */
function toCredentials(environment: Environment, secrets: StoreSecrets): S3Credentials | undefined {
  const given = { id: nonEmpty(secrets.accessKeyId), key: nonEmpty(secrets.secretAccessKey) };
  if (given.id !== undefined && given.key !== undefined) {
    return { accessKeyId: given.id, secretAccessKey: given.key };
  }
  for (const prefix of ["LITESTREAM", "AWS"]) {
    const accessKeyId = nonEmpty(environment[`${prefix}_ACCESS_KEY_ID`]);
    const secretAccessKey = nonEmpty(environment[`${prefix}_SECRET_ACCESS_KEY`]);
    if (accessKeyId === undefined || secretAccessKey === undefined) continue;
    const sessionToken = prefix === "AWS" ? nonEmpty(environment["AWS_SESSION_TOKEN"]) : undefined;
    return {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    };
  }
  return undefined;
}

function toEncryption(parameters: S3Url["parameters"]): S3Encryption {
  const key = nonEmpty(parameters["sse-customer-key"]);
  const keyId = nonEmpty(parameters["sse-kms-key-id"]);
  const algorithm = nonEmpty(parameters["sse-customer-algorithm"]) ?? "AES256";
  if (key !== undefined && keyId !== undefined) {
    throw invalid("sse-kms-key-id", "and sse-customer-key exclude each other");
  }
  if (keyId !== undefined) return { kind: "kms", keyId };
  if (algorithm !== "AES256") throw invalid("sse-customer-algorithm", "can only be AES256");
  if (key === undefined) {
    if (parameters["sse-customer-algorithm"] === undefined) return { kind: "none" };
    throw invalid("sse-customer-algorithm", "needs sse-customer-key beside it");
  }
  if (!/^[A-Za-z0-9+/]{43}=$/.test(key)) {
    throw invalid("sse-customer-key", "must be 32 bytes in base64 (a + in a URL is written %2B)");
  }
  return { kind: "customer", key, keyMd5: nonEmpty(parameters["sse-customer-key-md5"]) };
}

function toPartSize(parameters: S3Url["parameters"]): number {
  const sizeBytes = toInteger(parameters, "part-size") ?? s3Limits.defaultPartSizeBytes;
  if (sizeBytes >= s3Limits.minPartSizeBytes && sizeBytes <= s3Limits.maxPartSizeBytes)
    return sizeBytes;
  throw invalid("part-size", "must be from 5242880 (5 MiB) to 5368709120 (5 GiB) bytes");
}

function toInteger(parameters: S3Url["parameters"], name: S3ParameterName): number | undefined {
  const text = nonEmpty(parameters[name]);
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw invalid(name, "must be a positive whole number");
}

function toBoolean(parameters: S3Url["parameters"], name: S3ParameterName): boolean | undefined {
  const text = nonEmpty(parameters[name])?.toLowerCase();
  if (text === undefined) return undefined;
  if (["true", "1", "t", "yes"].includes(text)) return true;
  if (["false", "0", "f", "no"].includes(text)) return false;
  throw invalid(name, "must be true or false");
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}

function invalid(name: S3ParameterName, problem: string): HeadwaterError {
  return new HeadwaterError("store/url", `The parameter ${name} of the S3 URL ${problem}.`);
}
