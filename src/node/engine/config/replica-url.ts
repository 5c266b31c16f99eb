// One replica of the configuration file as a URL and the secrets that must not stand in it.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { messageOf } from "../../../core/base/errors.ts";
import { localPath } from "../../base/local-path.ts";
import { toS3Settings } from "../../store/s3-settings.ts";
import type { Environment } from "../../store/s3-settings.ts";
import { plainS3Parameters } from "../../store/s3-url.ts";
import type { StoreSecrets } from "../../store/store-secrets.ts";
import type { ReplicaEntry } from "./replica-keys.ts";
import type { KeyPath, Remarks } from "./mistakes.ts";

export interface ReplicaPlace {
  readonly url: string;
  readonly secrets: StoreSecrets | undefined;
  /** The same for two URLs that lead to the same place. */
  readonly identity: string;
}

export interface ReplicaContext {
  readonly remarks: Remarks;
  /** Of the replica in the file. */
  readonly at: KeyPath;
  readonly environment: Environment;
}

/** Where the replica is; `subpath` is added to its path. After a mistake, which is in the remarks, `undefined`. */
export function toReplicaPlace(
  entry: ReplicaEntry,
  subpath: string,
  context: ReplicaContext,
): ReplicaPlace | undefined {
  const { remarks, at } = context;
  const type = typeOf(entry, context);
  if (type === undefined) return undefined;
  if (type === "file") return toFilePlace(entry, subpath, context);
  if (type === "s3") return toS3Place(entry, subpath, context);
  const message = `is of type ${type}, which this version cannot write. It writes file and s3.`;
  remarks.mistake([...at, entry.url === undefined ? "type" : "url"], message);
  return undefined;
}

function typeOf(
  { url, type, path }: ReplicaEntry,
  { remarks, at }: ReplicaContext,
): string | undefined {
  if (path !== undefined && /^\w+:\/\//u.test(path)) {
    remarks.mistake([...at, "path"], "is a URL. Write it as url.");
    return undefined;
  }
  if (url === undefined) return type ?? "file";
  const scheme = /^(?<scheme>\w+):\/\//u.exec(url)?.groups?.["scheme"]?.toLowerCase();
  if (scheme === undefined) {
    remarks.mistake([...at, "url"], "must begin with file:// or s3://. Write a path as path.");
  }
  return scheme;
}

function toFilePlace(
  { url, path }: ReplicaEntry,
  subpath: string,
  { remarks, at }: ReplicaContext,
): ReplicaPlace | undefined {
  if (url === undefined && path === undefined) {
    remarks.mistake(at, "needs url, or path for a directory, or type: s3 with bucket and path.");
    return undefined;
  }
  const root =
    url?.replace(/[?].*$/u, "").replace(/\/+$/u, "") ?? pathToFileURL(localPath(path ?? "")).href;
  if (!/^file:\/\/\/./iu.test(root)) {
    remarks.mistake(
      [...at, "url"],
      "needs three slashes and an absolute path: file:///var/backups/app.",
    );
    return undefined;
  }
  const whole = subpath === "" ? root : `${root}/${encodePath(subpath)}`;
  return { url: whole, secrets: undefined, identity: whole };
}

function toS3Place(
  entry: ReplicaEntry,
  subpath: string,
  context: ReplicaContext,
): ReplicaPlace | undefined {
  const { remarks, at, environment } = context;
  const address = s3Address(entry, context);
  if (address === undefined) return undefined;
  const [place = "", query = ""] = address.split("?", 2);
  const root = place.replace(/\/+$/u, "");
  const parameters = s3Parameters(entry).map(
    ([name, value]) => `${name}=${encodeURIComponent(value)}`,
  );
  const whole = [query, ...parameters].filter((part) => part !== "").join("&");
  const path = subpath === "" ? root : `${root}/${encodePath(subpath)}`;
  const url = whole === "" ? path : `${path}?${whole}`;
  try {
    const secrets = toSecrets(entry, context);
    const { endpoint, bucket, keyPrefix } = toS3Settings(url, environment, secrets);
    return { url, secrets, identity: `s3 ${endpoint ?? ""} ${bucket} ${keyPrefix}` };
  } catch (error) {
    remarks.mistake(
      at,
      `cannot be used. ${messageOf(error).replace("The S3 URL cannot be used. ", "")}`,
    );
    return undefined;
  }
}

function s3Address(
  { url, bucket, path }: ReplicaEntry,
  { remarks, at }: ReplicaContext,
): string | undefined {
  if (url !== undefined) return url;
  if (bucket === undefined) {
    remarks.mistake(at, "needs bucket, or url: s3://bucket/path.");
    return undefined;
  }
  if (/[/?#@]/u.test(bucket) && !bucket.startsWith("arn:")) {
    remarks.mistake([...at, "bucket"], "must be the name of a bucket, without / ? # and @.");
    return undefined;
  }
  return `s3://${bucket}/${encodePath(path ?? "")}`;
}

/** What may stand in a URL, and so in the state directory. */
function s3Parameters(entry: ReplicaEntry): readonly (readonly [string, string])[] {
  return plainS3Parameters.flatMap((name) => {
    const value = entry[name];
    return value === undefined ? [] : [[name, String(value)] as const];
  });
}

function toSecrets(entry: ReplicaEntry, { remarks, at }: ReplicaContext): StoreSecrets | undefined {
  const accessKeyId = entry["access-key-id"];
  const secretAccessKey = entry["secret-access-key"];
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    const [there, missing] =
      accessKeyId === undefined
        ? ["secret-access-key", "access-key-id"]
        : ["access-key-id", "secret-access-key"];
    remarks.warning([...at, there], `does not count without ${missing}, which is empty.`);
  }
  const sseCustomerKey = entry["sse-customer-key"] ?? readKey(entry["sse-customer-key-path"]);
  if (accessKeyId === undefined && secretAccessKey === undefined && sseCustomerKey === undefined)
    return undefined;
  return { accessKeyId, secretAccessKey, sseCustomerKey };
}

function readKey(path: string | undefined): string | undefined {
  return path === undefined ? undefined : readFileSync(localPath(path), "utf8").trim();
}

function encodePath(path: string): string {
  return path
    .split("/")
    .filter((part) => part !== "")
    .map(encodeURIComponent)
    .join("/");
}
