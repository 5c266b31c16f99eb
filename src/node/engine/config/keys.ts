// Every key of the configuration file: those of Litestream 0.5, those that Litestream 0.3 read, and our own. This one
// table reads the file, and is the source of docs/configuration.md and of the JSON Schema for editors.
import { z } from "zod";
import {
  bytes,
  choice,
  duration,
  flag,
  integer,
  monthlyCost,
  permissions,
  positiveDuration,
  text,
} from "./kinds.ts";

export interface KeyNote {
  /** `none`: known, and without effect here; a file that has it gets a warning. `refused`: an error. */
  readonly effect: "used" | "none" | "refused";
  /** A sentence: what it does, or why it does nothing. */
  readonly means: string;
  /** As one would write it. */
  readonly fallback?: string;
}

/** What is to be said of a key, by the schema of its value. */
export const keyNotes = z.registry<KeyNote>();

function key<T extends z.ZodType>(type: T, note: KeyNote): z.ZodOptional<T> {
  const schema = type.optional();
  keyNotes.add(schema, note);
  return schema;
}

const used = <T extends z.ZodType>(type: T, means: string, fallback?: string): z.ZodOptional<T> =>
  key(type, { effect: "used", means, ...(fallback === undefined ? {} : { fallback }) });

const none = <T extends z.ZodType>(type: T, means: string): z.ZodOptional<T> =>
  key(type, { effect: "none", means });

const otherStore = <T extends z.ZodType>(type: T, store: string): z.ZodOptional<T> =>
  none(type, `${store}: this version replicates to file and S3.`);

const oldRetention = "Litestream 0.3. Write snapshot and retention at the top of the file.";

/** Where a replica is reached and how. At the top of the file: for every replica that leaves the key out. */
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
  ...globalSettings
} = replicaSettings;

const replica = z.strictObject({
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

const snapshot = z.strictObject({
  interval: used(positiveDuration, "How often a full image is put, if anything changed.", "24h"),
  retention: used(
    positiveDuration,
    "Full images older than this are deleted, with the history before them.",
    "24h",
  ),
});

const interval = duration({ atLeastMs: 0 });

const database = z.strictObject({
  path: used(text, "The database; it may not exist yet."),
  dir: used(text, "A directory of databases; instead of `path`."),
  pattern: used(text, "With `dir`: names of the databases, such as `*.db`."),
  recursive: used(flag, "With `dir`: also in the directories below.", "false"),
  watch: used(
    flag,
    "With `dir`: databases are also taken in when they appear, and let go when they are deleted.",
    "false",
  ),
  "meta-path": used(
    text,
    "Where a Litestream keeps its state, to be set aside before its replica is continued.",
    "`.NAME-litestream` beside the database",
  ),
  "meta-dir": used(text, "With `dir`: the same, as `META-DIR/RELATIVE-PATH-litestream`."),
  "state-dir": used(
    text,
    "Local state of Headwater; with `dir` a directory for all of them.",
    "`.NAME-headwater` beside the database",
  ),
  "restore-if-db-not-exists": used(flag, "Restore a missing database before the start.", "false"),
  "take-over": used(flag, "Do not wait for another writer to fall silent.", "false"),
  lease: used(
    flag,
    "Hold a lease in the replica, so that a second writer does not start. False: do without.",
    "true",
  ),
  "lease-ttl": used(
    duration({ atLeastMs: 3_000 }),
    "How long the holder of the lease must be silent before another writer may take it.",
    "30s",
  ),
  "max-wal-size": used(
    bytes({ atLeast: "1MiB" }),
    "Size of the WAL above which something is wrong.",
    "1GiB",
  ),
  "max-staging": used(
    bytes({ atLeast: "1MiB" }),
    "Size of staged files above which they are merged.",
    "10GiB",
  ),
  replica: used(replica, "The replica."),
  replicas: used(
    z.array(replica),
    "In place of `replica`: several replicas, each with the whole history.",
  ),
  snapshot: used(snapshot, "Of this database alone.", "that of the file"),
  "verify-interval": used(interval, "Of this database alone.", "that of the file"),
  "verify-restore-interval": used(interval, "Of this database alone.", "that of the file"),
  "monitor-interval": none(duration({ atLeastMs: 0 }), "A commit wakes Headwater at once."),
  "checkpoint-interval": none(
    duration({ atLeastMs: 0 }),
    "The size of the WAL decides, and a minute.",
  ),
  "busy-timeout": none(duration({ atLeastMs: 0 }), "Headwater does not wait for locks."),
  "min-checkpoint-page-count": none(integer({ atLeast: 1 }), "1000, as in Litestream."),
  "max-checkpoint-page-count": none(integer({ atLeast: 0 }), "Litestream 0.3."),
  "truncate-page-n": none(integer({ atLeast: 0 }), "The WAL is truncated above 64 MiB."),
  "max-sync-wal-bytes": none(bytes({ atLeast: "0" }), "Memory does not grow with the WAL."),
});

/** The whole file. */
export const configSchema = z.strictObject({
  dbs: used(z.array(database), "The databases."),
  exec: used(text, "Command to run; Headwater ends with it. As -exec."),
  logging: used(
    z.strictObject({
      level: used(
        choice(["trace", "debug", "info", "warn", "warning", "error"]),
        "Least level of what is logged; LOG_LEVEL and -log-level come first.",
        "info",
      ),
      type: used(
        choice(["text", "json", "pretty"]),
        "Lines, JSON, or short lines in colours for somebody who looks on.",
        "text",
      ),
      stderr: used(flag, "Log to standard error.", "false"),
      source: none(flag, "Events have names, which say where they come from."),
    }),
    "What is logged, and where to.",
  ),
  "hibernate-after": used(
    duration({ atLeastMs: 0 }),
    "A database that was quiet for so long rests until it changes; 0 = never.",
    "30s",
  ),
  "shutdown-sync-timeout": used(
    duration({ atLeastMs: 0 }),
    "The last uploads are given up after this time, all databases together; 0 = the default.",
    "30s",
  ),
  "shutdown-sync-interval": none(positiveDuration, "Retries have their own pace."),
  levels: used(
    z
      .array(
        z.strictObject({
          interval: used(positiveDuration, "How often the level is made from the one below."),
        }),
      )
      .max(8),
    "Levels 1, 2, ... into which files are merged; replaces the whole default list.",
    "30s, 5m, 1h",
  ),
  snapshot: used(snapshot, "Full images of every database."),
  "verify-interval": used(
    interval,
    "How often the database is compared with what was captured, and new files of the replica are proved; 0 = never.",
    "6h",
  ),
  "verify-restore-interval": used(
    interval,
    "How often a restore is compared with the database byte for byte; reads about its size from the replica. 0 = never.",
    "168h for file, 0 for others",
  ),
  validation: used(
    z.strictObject({
      interval: used(
        interval,
        "How often the levels are looked through for gaps and overlaps; 0 = never.",
        "0",
      ),
    }),
    "Warnings about what is in the replica.",
  ),
  "page-checksums": used(
    flag,
    "Put a checksum file beside each merged file and full image, so that readers of single pages can check them; reads each of these files once.",
    "false",
  ),
  retention: used(
    z.strictObject({
      enabled: used(flag, "False: nothing is ever deleted from a replica.", "true"),
      grace: used(
        duration({ atLeastMs: 0 }),
        "Nothing that a restore begun within this time may need is deleted, and nothing so soon after a start.",
        "5m",
      ),
    }),
    "Whether what is old is deleted.",
  ),
  "l0-retention": used(
    duration({ atLeastMs: 0 }),
    "Level-0 files older than this are deleted once level 1 holds them; 0 = never.",
    "5m",
  ),
  "l0-retention-check-interval": none(
    positiveDuration,
    "A file is looked at when it is old enough.",
  ),
  "verify-compaction": none(flag, "Always on: every merged file is looked up and read back."),
  addr: used(
    text,
    "Where `/metrics` (Prometheus) and `/health` are served, `host:port`; without a host on this machine alone.",
  ),
  "health-max-lag": used(
    positiveDuration,
    "What is not in its replica after this time makes a database unhealthy.",
    "1m",
  ),
  socket: used(
    z.strictObject({
      enabled: used(flag, "Listen on it.", "false"),
      path: used(text, "Where it is.", "/var/run/litestream.sock"),
      permissions: used(permissions, "Who may give orders: those who may write to it.", "0600"),
    }),
    "Control socket, for `headwater start`, `stop`, `sync`, `register`, `unregister`, `list` and `info`.",
  ),
  "heartbeat-url": used(text, "Gets a GET every interval while every database is healthy."),
  "heartbeat-interval": used(duration({ atLeastMs: 60_000 }), "At least a minute.", "5m"),
  "webhook-url": used(text, "Gets a POST when a database becomes unhealthy, or healthy again."),
  "mcp-addr": used(
    text,
    "Where the MCP server listens, `host:port`; without a host on this machine alone.",
  ),
  "mcp-token": used(
    text,
    "What MCP clients must send, at least 16 characters: `Authorization: Bearer TOKEN`. Without it the server is for " +
      "this machine alone, restores nothing and resets nothing.",
  ),
  ...globalSettings,
});

export type ConfigFile = z.output<typeof configSchema>;
export type DatabaseEntry = z.output<typeof database>;
export type ReplicaEntry = z.output<typeof replica>;

/** The names of the settings that a replica takes from the top of the file. */
// The keys of a constant object of ours.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
export const globalSettingNames = Object.keys(globalSettings) as (keyof typeof globalSettings)[];
