// Every key of the configuration file: those of Litestream 0.5, those that Litestream 0.3 read, and our own. This one
// table reads the file, and is the source of docs/configuration.md and of the JSON Schema for editors.
import { z } from "zod";
import { none, used } from "./key-notes.ts";
import {
  bytes,
  choice,
  duration,
  flag,
  integer,
  permissions,
  positiveDuration,
  text,
} from "./kinds.ts";
import { globalSettings, replica } from "./replica-keys.ts";

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
  "push-interval": used(interval, "Of this database alone.", "that of the file"),
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
  push: used(
    z.strictObject({
      enabled: used(
        flag,
        "Serve what databases have staged at `addr`, under `/databases/NAME/stream`, to those who follow by push.",
        "false",
      ),
      token: used(
        text,
        "What followers must send, at least 16 characters: `Authorization: Bearer TOKEN`. Needed if other machines can reach `addr`.",
      ),
      "allow-origin": used(
        z.array(text),
        "Origins whose pages may follow in a browser, such as `https://app.example.com`; `*` = any.",
        "none",
      ),
    }),
    "Streams for followers that are milliseconds behind.",
  ),
  "push-interval": used(
    interval,
    "While somebody follows by push, changes are staged and sent at most this often; 0 = each commit at once. Uploads keep to `sync-interval`.",
    "50ms",
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
