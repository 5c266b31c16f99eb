// Counts what streams send to followers, from the events that they log.
import { Counter, Gauge } from "prom-client";
import type { Registry } from "prom-client";
import type { LogFields } from "../../core/base/log.ts";
import { numberOf, textOf } from "./event-fields.ts";

/** Makes the counters in `registry`; what is returned takes every event. */
export function createPushCounters(registry: Registry): (event: string, fields: LogFields) => void {
  const registers = [registry];
  const labelNames = ["db"] as const;
  const followers = new Gauge({
    name: "headwater_push_followers",
    help: "Streams that are open.",
    labelNames,
    registers,
  });
  const files = new Counter({
    name: "headwater_push_files_total",
    help: "Staged files sent to followers, each time one is.",
    labelNames,
    registers,
  });
  const bytes = new Counter({
    name: "headwater_push_bytes_total",
    help: "Bytes of these files.",
    labelNames,
    registers,
  });
  const resets = new Counter({
    name: "headwater_push_resets_total",
    help: "Streams that ended by sending the follower to the store.",
    labelNames,
    registers,
  });
  return (event, fields) => {
    const db = textOf(fields["db"]);
    switch (event) {
      case "push.following":
        followers.inc({ db });
        break;
      case "push.left":
        followers.dec({ db });
        break;
      case "push.sent":
        files.inc({ db });
        bytes.inc({ db }, numberOf(fields["sizeBytes"]));
        break;
      case "push.reset":
        resets.inc({ db });
        break;
    }
  };
}
