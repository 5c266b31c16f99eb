// The official client, set up for long-lived replication: exact lengths instead of chunked bodies, no retries of its
// own (createRetryingStore does them, without a quota that runs dry), and time-outs for every phase.
import { createHash } from "node:crypto";
import { HeadBucketCommand, S3Client } from "@aws-sdk/client-s3";
import type { S3ClientConfig } from "@aws-sdk/client-s3";
import type { Environment, S3Settings } from "./s3-settings.ts";
import { Memo } from "./store-memory.ts";

export interface S3Timeouts {
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

export interface ConnectOptions {
  readonly environment: Environment;
  readonly timeouts: S3Timeouts;
  /** Where buckets are, by their names. */
  readonly regions?: Memo<string | undefined>;
}

/** The SDK would write to the console otherwise. */
const silentSdkLogger = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };

/** What the payload hash header says when the payload is not signed. */
export const unsignedPayload = "UNSIGNED-PAYLOAD";

/** Makes the client, after asking AWS for the bucket's region if nobody told it. Whoever opens it destroys it. */
export async function connectS3(settings: S3Settings, options: ConnectOptions): Promise<S3Client> {
  const { environment, regions = new Memo() } = options;
  if (settings.region !== undefined) return createClient(settings, settings.region, options);
  const likely = environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1";
  const client = createClient(settings, likely, options);
  const lookUp = (): Promise<string | undefined> => lookUpRegion(client, settings.bucket);
  const region = await regions.of(settings.bucket, lookUp).catch((error: unknown) => {
    client.destroy();
    throw error;
  });
  if (region === undefined || region === likely) return client;
  client.destroy();
  return createClient(settings, region, options);
}

/** Every region knows where a bucket is, and says so even when it refuses the request. */
async function lookUpRegion(client: S3Client, bucket: string): Promise<string | undefined> {
  try {
    const { BucketRegion } = await client.send(new HeadBucketCommand({ Bucket: bucket }));
    return BucketRegion;
  } catch (error) {
    const region = responseHeader(error, "x-amz-bucket-region");
    if (region === undefined && responseStatus(error) !== 403) throw error;
    return region;
  }
}

function createClient(
  settings: S3Settings,
  region: string,
  { environment, timeouts }: ConnectOptions,
): S3Client {
  // A loop of our own requests, not a crowd: the limit only bounds what a bug could open.
  const agent = { keepAlive: true, keepAliveMsecs: 30_000, maxSockets: 128, proxyEnv: environment };
  const config: S3ClientConfig = {
    region,
    forcePathStyle: settings.forcePathStyle,
    useArnRegion: true,
    maxAttempts: 1,
    // Checksums in trailers are refused by most servers other than AWS. The signed SHA-256 of the payload covers it.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    logger: silentSdkLogger,
    customUserAgent: "headwater",
    requestHandler: {
      connectionTimeout: timeouts.connectTimeoutMs,
      socketTimeout: timeouts.idleTimeoutMs,
      httpAgent: agent,
      httpsAgent: { ...agent, rejectUnauthorized: !settings.skipVerify },
      logger: silentSdkLogger,
    },
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
    ...(settings.credentials === undefined ? {} : { credentials: settings.credentials }),
  };
  const client = new S3Client(config);
  addHeaders(client, settings.provider.headers ?? {});
  return client;
}

/** Passes a request on after changing it; the same for every command. */
type RequestChange = <Args extends { readonly request: unknown }, Result>(
  next: (args: Args) => Promise<Result>,
) => (args: Args) => Promise<Result>;

/** What a client and every command have in common: a place where requests can be changed before they are signed. */
interface WithMiddleware {
  readonly middlewareStack: {
    add(
      change: RequestChange,
      options: { readonly step: "build"; readonly priority?: "low" },
    ): void;
  };
}

/** Adds headers to the requests of a client or a command, in time to be signed. */
export function addHeaders(
  { middlewareStack }: WithMiddleware,
  headers: Readonly<Record<string, string>>,
): void {
  middlewareStack.add(
    (next) => (args) => {
      Object.assign(requestOf(args).headers, headers);
      return next(args);
    },
    { step: "build" },
  );
}

/** Adds the MD5 of the body, which some servers demand of a request that deletes many objects. */
export function addContentMd5({ middlewareStack }: WithMiddleware): void {
  middlewareStack.add(
    (next) => (args) => {
      const { headers, body } = requestOf(args);
      if (typeof body === "string" || body instanceof Uint8Array) {
        headers["content-md5"] = createHash("md5").update(body).digest("base64");
      }
      return next(args);
    },
    { step: "build", priority: "low" },
  );
}

interface SdkRequest {
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

/** The HTTP request in the arguments of a middleware of the step "build", where the SDK always has one. */
function requestOf(args: { readonly request: unknown }): SdkRequest {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see the sentence above
  return args.request as SdkRequest;
}

/** HTTP status of the answer that became `error`, if there was one. */
export function responseStatus(error: unknown): number | undefined {
  const metadata = property(error, "$metadata");
  const status = property(metadata, "httpStatusCode");
  return typeof status === "number" ? status : undefined;
}

function responseHeader(error: unknown, name: string): string | undefined {
  const value = property(property(property(error, "$response"), "headers"), name);
  return typeof value === "string" ? value : undefined;
}

/** `value[name]`, if `value` is an object. */
export function property(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function silent(): void {}
