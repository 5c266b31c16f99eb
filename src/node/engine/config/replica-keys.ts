// The keys of a replica in the configuration file, and those of them that stand at the top of the file as well.
import { z } from "zod";
import { key, none, used } from "./key-notes.ts";
import { bytes, choice, duration, flag, integer, monthlyCost, text } from "./kinds.ts";

const otherStore = <T extends z.ZodType>(type: T, store: string): z.ZodOptional<T> =>
  none(type, `${store}: this version replicates to file and S3.`);

const oldRetention = "Litestream 0.3. Write snapshot and retention at the top of the file.";

/** Where a replica is reached and how. */
const replicaSettings = {
  "access-key-id": used(text, "S3 access key.", "`AWS_ACCESS_KEY_ID`, then the usual AWS sources"),
  "secret-access-key": used(text, "S3 secret key.", "`AWS_SECRET_ACCESS_KEY`"),
  region: used(text, "S3 region.", "asked of AWS; `us-east-1` with an endpoint"),
  bucket: used(text, "S3 bucket, for a replica without `url`."),
  endpoint: used(text, "Address of an S3 service other than AWS."),
  "force-path-style": used(
    flag,
    "Bucket in the path, not in the host name.",
    "true with an endpoint",
  ),
  "skip-verify": used(flag, "Do not check the TLS certificate.", "false"),
  "sign-payload": used(flag, "Sign what is uploaded.", "true"),
  "require-content-md5": used(flag, "Send Content-MD5 when deleting.", "by service"),
  "storage-class": used(text, "S3 storage class of new objects."),
  "part-size": used(
    bytes({ atLeast: "5MiB" }),
    "Size of the parts of large uploads, 5 MiB to 5 GiB.",
    "8MiB",
  ),
  concurrency: used(integer({ atLeast: 1 }), "Parts sent at once.", "4"),
  "sse-customer-algorithm": used(text, "Only AES256.", "AES256 with a key"),
  "sse-customer-key": used(text, "Key for encryption by S3, 32 bytes in base64."),
  "sse-customer-key-path": used(text, "File that holds the key for encryption by S3."),
  "sse-kms-key-id": used(text, "KMS key for encryption by S3."),
  "sync-interval": used(
    duration({ atLeastMs: 0 }),
    "Upload at most this often; 0 = each commit.",
    "1s",
  ),
  "max-cost": used(
    monthlyCost,
    "Most that requests may cost, such as `$1/month`: without a pause in writing, uploads come less often (docs/cost.md).",
    "no limit",
  ),
  "max-puts-per-month": used(
    integer({ atLeast: 1_000 }),
    "The same as a number of PUT and LIST requests, for stores whose prices are not known.",
    "no limit",
  ),
  manifest: used(
    flag,
    "Keep a `manifest.json` beside the files, for browsers and other readers behind HTTP; one small put more for each upload (docs/formats/manifest.md).",
    "false",
  ),
  "max-sync-ltx-files": none(integer({ atLeast: 0 }), "Uploads are not limited by number."),
  "auto-recover": none(flag, "Always on: a gap is compared and sent."),
  "validation-interval": none(duration({ atLeastMs: 0 }), "Litestream does not use it either."),
  "account-name": otherStore(text, "Azure"),
  "account-key": otherStore(text, "Azure"),
  "sas-token": otherStore(text, "Azure"),
  host: otherStore(text, "SFTP"),
  user: otherStore(text, "SFTP"),
  password: otherStore(text, "SFTP"),
  "key-path": otherStore(text, "SFTP"),
  "host-key": otherStore(text, "SFTP"),
  "concurrent-writes": otherStore(flag, "SFTP"),
  "webdav-url": otherStore(text, "WebDAV"),
  "webdav-username": otherStore(text, "WebDAV"),
  "webdav-password": otherStore(text, "WebDAV"),
  jwt: otherStore(text, "NATS"),
  seed: otherStore(text, "NATS"),
  creds: otherStore(text, "NATS"),
  nkey: otherStore(text, "NATS"),
  username: otherStore(text, "NATS"),
  token: otherStore(text, "NATS"),
  tls: otherStore(flag, "NATS"),
  "root-cas": otherStore(z.array(text), "NATS"),
  "client-cert": otherStore(text, "NATS"),
  "client-key": otherStore(text, "NATS"),
  "max-reconnects": otherStore(integer({ atLeast: -1 }), "NATS"),
  "reconnect-wait": otherStore(duration({ atLeastMs: 0 }), "NATS"),
  timeout: otherStore(duration({ atLeastMs: 0 }), "NATS"),
  age: key(z.unknown(), {
    effect: "refused",
    means:
      "Encryption with age does not exist in this format; nothing is written in plain text instead.",
  }),
  retention: none(duration({ atLeastMs: 0 }), oldRetention),
  "retention-check-interval": none(duration({ atLeastMs: 0 }), oldRetention),
  "snapshot-interval": none(duration({ atLeastMs: 0 }), oldRetention),
};

// At the top of a file these names are sections, or belong to 0.3's replicas alone.
const {
  retention: _retention,
  "retention-check-interval": _checkInterval,
  "snapshot-interval": _snapshotInterval,
  ...rest
} = replicaSettings;

/** What stands at the top of the file for every replica that leaves it out. */
export const globalSettings = rest;

/** A replica of a database. */
export const replica = z.strictObject({
  type: used(
    choice(["file", "s3", "gs", "abs", "sftp", "webdav", "nats", "oss"]),
    "Kind of store; the scheme of `url` decides if there is one. This version has file and s3.",
    "file",
  ),
  url: used(text, "Where the replica is: `file:///path` or `s3://bucket/path?options`."),
  path: used(text, "Directory, or path in the bucket, for a replica without `url`."),
  name: none(text, "Replicas have no names."),
  ...replicaSettings,
});

export type ReplicaEntry = z.output<typeof replica>;

/** The names of the settings that a replica takes from the top of the file. */
// The keys of a constant object of ours.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
export const globalSettingNames = Object.keys(globalSettings) as (keyof typeof globalSettings)[];
