// One place through which every S3 request goes: connects at the first one, maps every failure, adds what all
// requests of a kind have in common.
import type { S3Client } from "@aws-sdk/client-s3";
import { orAborted, throwIfAborted } from "../../core/base/async.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import type { Random } from "../../core/base/random.ts";
import type { PutCondition } from "../../core/store/object-store.ts";
import { connectS3 } from "./s3-client.ts";
import type { S3Timeouts } from "./s3-client.ts";
import { toS3Error } from "./s3-errors.ts";
import { secretsOf } from "./s3-settings.ts";
import type { Environment, S3Settings } from "./s3-settings.ts";
import type { Memo } from "./store-memory.ts";

/** What a request is about, for its error. */
export interface S3Operation extends Waiting {
  readonly operation: string;
  readonly key: string;
  readonly condition?: PutCondition | undefined;
}

export class S3Requests {
  readonly settings: S3Settings;
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly #environment: Environment;
  readonly #timeouts: S3Timeouts;
  readonly #regions: Memo<string | undefined>;
  #client: Promise<S3Client> | undefined;
  #hasWorked = false;
  #hasSwept = false;

  constructor(options: {
    readonly settings: S3Settings;
    readonly url: string;
    readonly environment: Environment;
    readonly timeouts: S3Timeouts;
    readonly regions: Memo<string | undefined>;
    readonly clock: Clock;
    readonly random: Random;
  }) {
    this.settings = options.settings;
    this.url = options.url;
    this.#environment = options.environment;
    this.#timeouts = options.timeouts;
    this.#regions = options.regions;
    this.clock = options.clock;
    this.random = options.random;
  }

  /** Runs `work`. Throws the signal's reason when aborted, otherwise only `store/*` errors. */
  async run<T>(
    about: S3Operation,
    work: (client: S3Client, options: { readonly abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(about);
    try {
      const client = await orAborted(this.#connect(), about);
      const result = await work(
        client,
        about.signal === undefined ? {} : { abortSignal: about.signal },
      );
      this.#hasWorked = true;
      return result;
    } catch (error) {
      throwIfAborted(about);
      throw this.toError(error, about);
    }
  }

  toError(error: unknown, about: S3Operation): Error {
    const { endpoint } = this.settings;
    return toS3Error(error, {
      ...about,
      url: this.url,
      host: endpoint === undefined ? "amazonaws.com" : new URL(endpoint).host,
      secrets: secretsOf(this.settings),
      hasWorked: this.#hasWorked,
    });
  }

  /** Bucket and key, and the customer's key that every look at an encrypted object needs. */
  target(key: string): {
    readonly Bucket: string;
    readonly Key: string;
    readonly SSECustomerAlgorithm?: string;
    readonly SSECustomerKey?: string;
    readonly SSECustomerKeyMD5?: string;
  } {
    const { bucket, keyPrefix, sse } = this.settings;
    const target = { Bucket: bucket, Key: keyPrefix + key };
    if (sse.kind !== "customer") return target;
    const { key: customerKey, keyMd5 } = sse;
    return {
      ...target,
      SSECustomerAlgorithm: "AES256",
      SSECustomerKey: customerKey,
      ...(keyMd5 === undefined ? {} : { SSECustomerKeyMD5: keyMd5 }),
    };
  }

  /** Once per store, before its first upload in parts. What cannot be swept must not keep anybody from uploading. */
  async sweepOnce(sweep: () => Promise<void>): Promise<void> {
    if (this.#hasSwept) return;
    this.#hasSwept = true;
    await sweep().catch(() => undefined);
  }

  async destroy(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) (await client.catch(() => undefined))?.destroy();
  }

  #connect(): Promise<S3Client> {
    if (this.#client === undefined) {
      const client = connectS3(this.settings, {
        environment: this.#environment,
        timeouts: this.#timeouts,
        regions: this.#regions,
      });
      this.#client = client;
      // The next request asks again.
      client.catch(() => {
        if (this.#client === client) this.#client = undefined;
      });
    }
    return this.#client;
  }
}
