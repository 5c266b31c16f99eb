// Counts requests to replicas, from the events that every store logs.
import { Counter, Histogram } from "prom-client";
import type { Registry } from "prom-client";
import type { LogFields } from "../../core/base/log.ts";
import { numberOf, secondsOf, textOf } from "./event-fields.ts";

/** Requests that Litestream counts under these names, and those that only we make. */
const operations: Readonly<Record<string, string>> = {
  "store.put": "PUT",
  "store.get": "GET",
  "store.delete": "DELETE",
  "store.list": "LIST",
  "store.head": "HEAD",
  "store.copy": "COPY",
};

const bucketSeconds = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60];

/** Makes the counters in `registry`; what is returned takes every event. */
export function createRequestCounters(
  registry: Registry,
): (event: string, fields: LogFields) => void {
  const registers = [registry];
  const labelNames = ["replica_type", "operation"] as const;
  const requests = new Counter({
    name: "litestream_replica_operation_total",
    help: "Requests to replicas that succeeded.",
    labelNames,
    registers,
  });
  const bytes = new Counter({
    name: "litestream_replica_operation_bytes",
    help: "Bytes put into replicas and asked of them.",
    labelNames,
    registers,
  });
  const errors = new Counter({
    name: "litestream_replica_operation_errors_total",
    help: "Requests to replicas that failed.",
    labelNames: [...labelNames, "code"],
    registers,
  });
  const seconds = new Histogram({
    name: "litestream_replica_operation_duration_seconds",
    help: "Duration of requests to replicas.",
    labelNames,
    buckets: bucketSeconds,
    registers,
  });
  return (event, fields) => {
    const operation = operations[event];
    if (operation === undefined) return;
    const labels = { replica_type: textOf(fields["store"]), operation };
    if (fields["error"] !== undefined) {
      errors.inc({ ...labels, code: textOf(fields["code"]) || "unknown" });
      return;
    }
    requests.inc(labels);
    bytes.inc(labels, numberOf(fields["length"] ?? fields["sizeBytes"]));
    seconds.observe(labels, secondsOf(fields));
  };
}
