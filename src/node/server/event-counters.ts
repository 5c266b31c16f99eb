// Counts what the engines log: the log is the one place where everything that happens is told.
import { Counter, Gauge } from "prom-client";
import type { Registry } from "prom-client";
import type { LogFields, LogLevel } from "../../core/base/log.ts";
import { numberOf, secondsOf, textOf } from "./event-fields.ts";
import { createPushCounters } from "./push-counters.ts";
import { createRequestCounters } from "./request-counters.ts";

/** Events after which something committed could not be captured at once. */
const captureErrors = new Set(["capture.gap", "database.gone", "database.failed", "disk.full"]);

/** Takes an event of the log. */
export type CountEvent = (level: LogLevel, event: string, fields: LogFields) => void;

/** Makes the counters in `registry`. */
export function createEventCounters(registry: Registry): CountEvent {
  const registers = [registry];
  const counter = <Label extends string>(
    name: string,
    help: string,
    ...labelNames: Label[]
  ): Counter<Label> => new Counter({ name, help, labelNames, registers });
  const logged = counter("headwater_log_events_total", "Events logged.", "level");
  const syncs = counter("litestream_sync_count", "Batches captured.", "db");
  const syncErrors = counter("litestream_sync_error_count", "Failures to capture.", "db");
  const syncSeconds = counter("litestream_sync_seconds", "Time spent on capturing.", "db");
  const walBytes = counter("litestream_total_wal_bytes", "WAL bytes captured.", "db");
  const checkpoints = counter("litestream_checkpoint_count", "Checkpoints.", "db", "mode");
  const checkpointErrors = counter(
    "litestream_checkpoint_error_count",
    "Checkpoints that failed.",
    "db",
    "mode",
  );
  const checkpointSeconds = counter(
    "litestream_checkpoint_seconds",
    "Time spent on checkpoints.",
    "db",
    "mode",
  );
  const countRequest = createRequestCounters(registry);
  const countPush = createPushCounters(registry);
  const compactionErrors = counter(
    "litestream_compaction_verify_error_count",
    "Compactions that failed, or whose result was not sound.",
    "db",
  );
  const levelZero = new Gauge({
    name: "litestream_l0_retention_files_total",
    help: "Level-0 files at the last look of retention.",
    labelNames: ["db", "status"],
    registers,
  });

  return (level, event, fields) => {
    logged.inc({ level });
    const db = textOf(fields["db"]);
    countRequest(event, fields);
    countPush(event, fields);
    if (captureErrors.has(event)) syncErrors.inc({ db });
    switch (event) {
      case "ltx.staged":
        syncs.inc({ db });
        syncSeconds.inc({ db }, secondsOf(fields));
        walBytes.inc({ db }, numberOf(fields["walBytes"]));
        break;
      case "checkpoint.done": {
        const mode = textOf(fields["mode"]).toUpperCase();
        checkpoints.inc({ db, mode });
        checkpointSeconds.inc({ db, mode }, secondsOf(fields));
        break;
      }
      case "checkpoint.failed":
        checkpointErrors.inc({ db, mode: textOf(fields["mode"]).toUpperCase() });
        break;
      case "retention.looked":
        for (const status of ["eligible", "not_compacted", "too_recent"]) {
          levelZero.set({ db, status }, numberOf(fields[status]));
        }
        break;
      default:
        if (/^level-\d\.failed$/u.test(event)) compactionErrors.inc({ db });
    }
  };
}
