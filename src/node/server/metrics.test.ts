import { expect, test } from "vitest";
import { silentLogger } from "../../core/base/log.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { Metrics } from "./metrics.ts";

function metrics(): Metrics {
  const failing = { path: "/b.db", isStopped: false, failure: new Error("x"), status: undefined };
  return new Metrics({ patients: () => [failing], clock: new VirtualClock(), maxLagMs: 60_000 });
}

/** The samples whose name begins so, without comments. */
async function samples(from: Metrics, name: string): Promise<string[]> {
  const text = await from.text();
  return text.split("\n").filter((line) => line.startsWith(name));
}

test("events are counted and passed on", async () => {
  const counted = metrics();
  const events: string[] = [];
  const logger = counted.counting({ log: (_level, event) => events.push(event) });
  const db = "/a.db";
  logger.log("debug", "ltx.staged", { db, walBytes: 8240, elapsedMs: 250 });
  logger.log("debug", "ltx.staged", { db, walBytes: 4120, elapsedMs: 250 });
  logger.log("debug", "checkpoint.done", { db, mode: "passive", elapsedMs: 1500 });
  logger.log("error", "disk.full", { db });
  logger.log("debug", "retention.looked", { db, eligible: 3, not_compacted: 2, too_recent: 1 });
  logger.log("warn", "level-1.failed", { db });
  expect(events).toHaveLength(6);
  const label = 'db="/a.db"';
  expect(await samples(counted, "litestream_")).toEqual(
    expect.arrayContaining([
      `litestream_sync_count{${label}} 2`,
      `litestream_sync_seconds{${label}} 0.5`,
      `litestream_total_wal_bytes{${label}} 12360`,
      `litestream_sync_error_count{${label}} 1`,
      `litestream_checkpoint_count{${label},mode="PASSIVE"} 1`,
      `litestream_checkpoint_seconds{${label},mode="PASSIVE"} 1.5`,
      `litestream_l0_retention_files_total{${label},status="eligible"} 3`,
      `litestream_l0_retention_files_total{${label},status="not_compacted"} 2`,
      `litestream_l0_retention_files_total{${label},status="too_recent"} 1`,
      `litestream_compaction_verify_error_count{${label}} 1`,
    ]),
  );
  expect(await samples(counted, "headwater_log_events_total")).toEqual([
    'headwater_log_events_total{level="debug"} 4',
    'headwater_log_events_total{level="error"} 1',
    'headwater_log_events_total{level="warn"} 1',
  ]);
});

test("requests are counted by kind of store, with bytes, times and errors", async () => {
  const counted = metrics();
  const logger = counted.counting(silentLogger);
  logger.log("debug", "store.put", { store: "s3", sizeBytes: 700, elapsedMs: 40 });
  logger.log("debug", "store.get", { store: "s3", length: 100, sizeBytes: 700, elapsedMs: 2 });
  logger.log("debug", "store.put", { store: "s3", error: "slow down", code: "store/unavailable" });
  logger.log("debug", "store.features", { store: "s3", elapsedMs: 1 });
  const put = 'replica_type="s3",operation="PUT"';
  const get = 'replica_type="s3",operation="GET"';
  expect(await samples(counted, "litestream_replica_operation_total")).toEqual([
    `litestream_replica_operation_total{${put}} 1`,
    `litestream_replica_operation_total{${get}} 1`,
  ]);
  expect(await samples(counted, "litestream_replica_operation_bytes")).toEqual([
    `litestream_replica_operation_bytes{${put}} 700`,
    `litestream_replica_operation_bytes{${get}} 100`,
  ]);
  expect(await samples(counted, "litestream_replica_operation_errors_total")).toEqual([
    `litestream_replica_operation_errors_total{${put},code="store/unavailable"} 1`,
  ]);
  expect(await samples(counted, "litestream_replica_operation_duration_seconds_sum")).toContain(
    `litestream_replica_operation_duration_seconds_sum{${put}} 0.04`,
  );
});

test("followers by push are counted while they are there, and what they were sent", async () => {
  const counted = metrics();
  const logger = counted.counting(silentLogger);
  const db = "/a.db";
  logger.log("info", "push.following", { db, after: "1" });
  logger.log("info", "push.following", { db, after: "1" });
  for (const sizeBytes of [400, 300]) logger.log("debug", "push.sent", { db, sizeBytes });
  logger.log("debug", "push.reset", { db });
  logger.log("info", "push.left", { db, why: "ended" });
  expect(await samples(counted, "headwater_push_")).toEqual([
    'headwater_push_followers{db="/a.db"} 1',
    'headwater_push_files_total{db="/a.db"} 2',
    'headwater_push_bytes_total{db="/a.db"} 700',
    'headwater_push_resets_total{db="/a.db"} 1',
  ]);
});

test("the health of every database is there, also of one without an engine", async () => {
  const counted = metrics();
  expect(await samples(counted, "headwater_healthy")).toEqual(['headwater_healthy{db="/b.db"} 0']);
  expect(await samples(counted, "headwater_database_state")).toEqual([
    'headwater_database_state{db="/b.db",state="failing"} 1',
  ]);
  expect(await samples(counted, "process_cpu_seconds_total")).toHaveLength(1);
});
