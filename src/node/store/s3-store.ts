// Objects in a bucket of S3 or of anything that speaks its protocol. Which promises hold is tried, not assumed.
import { CopyObjectCommand, DeleteObjectCommand, DeleteObjectsCommand } from "@aws-sdk/client-s3";
import { orAborted, throwIfAborted } from "../../core/base/async.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Random } from "../../core/base/random.ts";
import { checkKey, isKey } from "../../core/store/object-key.ts";
import type {
  CopyOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectContent,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoreFeatures,
} from "../../core/store/object-store.ts";
import { findEqualObject } from "../../core/store/settle-put.ts";
import { addContentMd5 } from "./s3-client.ts";
import type { S3Timeouts } from "./s3-client.ts";
import { codeOfDelete } from "./s3-errors.ts";
import { listObjects } from "./s3-list.ts";
import { probeS3 } from "./s3-probe.ts";
import type { S3Abilities } from "./s3-probe.ts";
import { getObject, headObject, statusOf, unlessAbsent } from "./s3-read.ts";
import { S3Requests } from "./s3-requests.ts";
import { s3Limits, toS3Settings } from "./s3-settings.ts";
import type { Environment } from "./s3-settings.ts";
import { uploadObject } from "./s3-upload.ts";
import { StoreMemory } from "./store-memory.ts";
import type { StoreSecrets } from "./store-secrets.ts";

export interface S3StoreOptions {
  readonly url: string;
  /** Holds `AWS_*` and `LITESTREAM_*`. Without a key pair in it, the SDK looks in all its places, `process.env` first. */
  readonly environment: Environment;
  readonly secrets?: StoreSecrets | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timeouts?: S3Timeouts | undefined;
  /** Of other stores of this process. */
  readonly memory?: StoreMemory | undefined;
}

/** The store at an `s3://` URL. Makes no request yet. Throws `store/url` for a URL that cannot be meant. */
export function createS3Store(options: S3StoreOptions): ObjectStore {
  return new S3Store(options);
}

class S3Store implements ObjectStore {
  readonly url: string;
  readonly #requests: S3Requests;
  readonly #options: S3StoreOptions;
  readonly #memory: StoreMemory;

  constructor(options: S3StoreOptions) {
    const settings = toS3Settings(options.url, options.environment, options.secrets);
    this.url = `s3://${settings.bucket}/${settings.keyPrefix.replace(/\/$/, "")}`;
    this.#options = options;
    this.#memory = options.memory ?? new StoreMemory();
    this.#requests = new S3Requests({
      regions: this.#memory.regions,
      settings,
      url: this.url,
      environment: options.environment,
      timeouts: options.timeouts ?? s3Limits,
      clock: options.clock,
      random: options.random,
    });
  }

  async features(options: Waiting): Promise<StoreFeatures> {
    const { createOnly, replaceIfUnchanged } = await this.#probe(options);
    return { createOnly, replaceIfUnchanged, listsExactTimes: false, copy: true };
  }

  async put(key: string, body: ObjectBody, options: PutOptions): Promise<ObjectInfo> {
    checkKey(key);
    throwIfAborted(options);
    const { condition, timestampMs } = options;
    let wantsBareEtags = false;
    if (condition !== undefined) {
      const abilities = await this.#probe(options);
      wantsBareEtags = abilities.wantsBareEtags;
      const can = condition === "absent" ? abilities.createOnly : abilities.replaceIfUnchanged;
      if (!can) throw this.#cannot(key);
    }
    const formatEtag = (etag: string): string => (wantsBareEtags ? etag : `"${etag}"`);
    const onUnfenced = (): void =>
      this.#options.logger.log("warn", "store.unfenced", { url: this.url, key });
    try {
      const upload = { ...options, formatEtag, onUnfenced };
      const stored = await uploadObject(this.#requests, key, body, upload);
      const isExactTime = timestampMs !== undefined;
      return {
        key,
        ...stored,
        timestampMs: timestampMs ?? this.#options.clock.nowMs(),
        isExactTime,
      };
    } catch (error) {
      // A lost race can end in either of these, and so can a won one.
      const isUnclear = statusOf(error) === 409 || statusOf(error) === 500;
      if (condition === undefined || !isUnclear) throw error;
      return this.#settle(key, body, options, error);
    }
  }

  get(key: string, options: GetOptions): Promise<ObjectContent | undefined> {
    return isKey(key) ? getObject(this.#requests, key, options) : Promise.resolve(undefined);
  }

  head(key: string, options: Waiting): Promise<ObjectInfo | undefined> {
    return isKey(key) ? headObject(this.#requests, key, options) : Promise.resolve(undefined);
  }

  list(options: ListOptions): AsyncIterable<ObjectInfo> {
    return listObjects(this.#requests, options);
  }

  async delete(keys: readonly string[], options: Waiting): Promise<void> {
    throwIfAborted(options);
    const valid = keys.filter(isKey);
    for (let at = 0; at < valid.length; at += s3Limits.deleteBatch) {
      const batch = valid.slice(at, at + s3Limits.deleteBatch);
      if (batch.length === 1) await this.#deleteOne(batch[0] ?? "", options);
      else await this.#deleteBatch(batch, options);
    }
  }

  async copy(from: string, to: string, options: CopyOptions): Promise<ObjectInfo | undefined> {
    checkKey(to);
    const requests = this.#requests;
    if (from === to || options.etag !== undefined) {
      // Ceph copies whatever version there is, so it is looked at before.
      const source = await this.get(from, { ...options, length: 0 });
      if (source === undefined || from === to) return source?.info;
    }
    const { Bucket, Key, SSECustomerKey } = requests.target(from);
    const command = new CopyObjectCommand({
      ...requests.target(to),
      CopySource: `${Bucket}/${Key.split("/").map(encodeURIComponent).join("/")}`,
      ...(options.etag === undefined ? {} : { CopySourceIfMatch: `"${options.etag}"` }),
      ...(SSECustomerKey === undefined
        ? {}
        : { CopySourceSSECustomerAlgorithm: "AES256", CopySourceSSECustomerKey: SSECustomerKey }),
    });
    const about = { operation: "copy", key: to, ...options };
    const copied = await unlessAbsent(
      requests.run(about, (client, send) => client.send(command, send)),
    );
    return copied === undefined ? undefined : this.head(to, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#requests.destroy();
  }

  async #probe(options: Waiting): Promise<S3Abilities> {
    const { endpoint, bucket } = this.#requests.settings;
    // Without the signal of whoever asks first: others may wait for the same answer.
    const abilities = this.#memory.abilities.of(`${endpoint ?? ""} ${bucket}`, async () => {
      const found = await probeS3(this.#requests, this.#options.random);
      this.#options.logger.log("debug", "store.probed", { url: this.url, ...found });
      return found;
    });
    return orAborted(abilities, options);
  }

  /** What became of a conditional put that the server neither confirmed nor refused? */
  async #settle(
    key: string,
    body: ObjectBody,
    options: PutOptions,
    error: unknown,
  ): Promise<ObjectInfo> {
    const equal = await findEqualObject(this, key, body, options);
    if (equal !== undefined) return equal;
    const present = await this.head(key, options);
    const { condition } = options;
    const mayStillHold =
      typeof condition === "object" ? present?.etag === condition.etag : present === undefined;
    if (mayStillHold) throw error;
    throw new HeadwaterError(
      condition === "absent" ? "store/exists" : "store/changed",
      `put ${key} in ${this.url}: another writer came first.`,
      { data: { key }, cause: error },
    );
  }

  async #deleteOne(key: string, options: Waiting): Promise<void> {
    const { Bucket, Key } = this.#requests.target(key);
    const about = { operation: "delete", key, ...options };
    await unlessAbsent(
      this.#requests.run(about, (client, send) =>
        client.send(new DeleteObjectCommand({ Bucket, Key }), send),
      ),
    );
  }

  async #deleteBatch(keys: readonly string[], options: Waiting): Promise<void> {
    const { bucket, keyPrefix, requireContentMd5 } = this.#requests.settings;
    const Objects = keys.map((key) => ({ Key: keyPrefix + key }));
    const command = new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } });
    if (requireContentMd5) addContentMd5(command);
    const about = { operation: "delete", key: keys[0] ?? "", ...options };
    const { Errors = [] } = await this.#requests.run(about, (client, send) =>
      client.send(command, send),
    );
    const failed = Errors.find(({ Code }) => Code !== "NoSuchKey");
    if (failed === undefined) return;
    const { Key = "", Code = "", Message = "" } = failed;
    throw new HeadwaterError(
      codeOfDelete(Code),
      `delete in ${this.url}: ${Errors.length} objects were not deleted, the first is ${Key.slice(keyPrefix.length)}: ${Code} ${Message}`,
      { data: { key: Key, name: Code } },
    );
  }

  #cannot(key: string): HeadwaterError {
    return new HeadwaterError(
      "store/failed",
      `put ${key} in ${this.url}: this server ignores conditions, as a trial has shown. Nothing was sent.`,
    );
  }
}
