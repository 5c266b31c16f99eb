// Prometheus metrics of a fleet: Litestream's under their names, and ours. Counters follow the log, gauges are read from
// the engines when somebody asks.
import { Counter, Gauge, Registry, collectDefaultMetrics } from "prom-client";
import type { Clock } from "../../core/base/clock.ts";
import type { Logger } from "../../core/base/log.ts";
import type { EngineStatus } from "../engine/engine-status.ts";
import { createEventCounters } from "./event-counters.ts";
import { healthOf } from "./health.ts";
import type { DatabaseHealth, HealthLimits, Patient } from "./health.ts";

export interface MetricsOptions extends HealthLimits {
  readonly patients: () => readonly Patient[];
  readonly clock: Clock;
}

interface Reading {
  readonly name: string;
  readonly help: string;
  readonly kind?: "counter";
  readonly read: (status: EngineStatus) => number;
}

const readings: readonly Reading[] = [
  {
    name: "litestream_db_size",
    help: "Size of the database, bytes.",
    read: (status) => status.databaseSizeBytes,
  },
  {
    name: "litestream_wal_size",
    help: "Size of the WAL, bytes.",
    read: (status) => status.walSizeBytes,
  },
  {
    name: "litestream_txid",
    help: "Newest TXID on local disk.",
    read: (status) => Number(status.txid ?? 0n),
  },
  {
    name: "litestream_disk_full",
    help: "1 while the state directory has no space.",
    read: (status) => Number(status.isDiskFull),
  },
  {
    name: "headwater_replicated_txid",
    help: "Every TXID up to it is in the replica.",
    read: (status) => Number(status.replicatedThrough),
  },
  {
    name: "headwater_last_upload_timestamp_seconds",
    help: "When this process last put something into the replica; 0 = not yet.",
    read: (status) => (status.uploadedAtMs ?? 0) / 1000,
  },
  {
    name: "headwater_pending_transactions",
    help: "Transactions seen and not yet staged.",
    read: (status) => status.pendingTransactions,
  },
  {
    name: "headwater_staged_bytes",
    help: "Bytes on local disk that are kept for the replica.",
    read: (status) => status.stagedBytes,
  },
  {
    name: "headwater_wal_blocked",
    help: "1 while the WAL is above its limit and something keeps it from being reset.",
    read: (status) => Number(status.isWalBlocked),
  },
  {
    name: "headwater_transactions_total",
    help: "Transactions captured.",
    kind: "counter",
    read: (status) => status.transactions,
  },
  {
    name: "headwater_uploaded_bytes_total",
    help: "Bytes put into the replica.",
    kind: "counter",
    read: (status) => status.uploadedBytes,
  },
  {
    name: "headwater_compactions_total",
    help: "Files of levels 1 to 8 made.",
    kind: "counter",
    read: (status) => status.levels.compactions,
  },
  {
    name: "headwater_snapshots_total",
    help: "Full images put.",
    kind: "counter",
    read: (status) => status.levels.snapshots,
  },
  {
    name: "headwater_repaired_files_total",
    help: "Damaged or missing files of levels that were made anew.",
    kind: "counter",
    read: (status) => status.levels.repairedFiles,
  },
  {
    name: "headwater_verified_timestamp_seconds",
    help: "When database and replica were last verified; 0 = not yet.",
    read: (status) => (status.verification.lastVerifiedAtMs ?? 0) / 1000,
  },
  {
    name: "headwater_restore_verified_timestamp_seconds",
    help: "When a restore was last compared with the database; 0 = not yet.",
    read: (status) => (status.verification.lastRestoreVerifiedAtMs ?? 0) / 1000,
  },
  {
    name: "headwater_verification_failed",
    help: "1 while the last verification found something wrong that is not healed.",
    read: (status) => Number(status.verification.result === "failed"),
  },
  {
    name: "headwater_diverged_pages_total",
    help: "Pages of the database that were not as they had been captured.",
    kind: "counter",
    read: (status) => status.verification.divergedPages,
  },
  {
    name: "headwater_budget_puts_left",
    help: "Uploads that can go now at full speed; 0 without a budget.",
    read: (status) => status.budget?.putsLeft ?? 0,
  },
  {
    name: "headwater_deleted_files_total",
    help: "Files that retention deleted.",
    kind: "counter",
    read: (status) => status.levels.deletedFiles,
  },
];

/** The delay of the event loop is looked at so often. Every 10 ms, as by default, costs 0.8 % of a core all the time. */
const loopSampleMs = 500;

export class Metrics {
  readonly #registry = new Registry();
  readonly #count = createEventCounters(this.#registry);
  readonly #options: MetricsOptions;

  constructor(options: MetricsOptions) {
    this.#options = options;
    const eventLoopMonitoringPrecision = loopSampleMs;
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision });
    this.#addHealth();
    for (const reading of readings) this.#addReading(reading);
  }

  /** A logger that counts before it passes on. */
  counting(logger: Logger): Logger {
    return {
      log: (level, event, fields = {}) => {
        this.#count(level, event, fields);
        logger.log(level, event, fields);
      },
    };
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** In Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** `values` is asked at each scrape. */
  #add<Label extends string>(
    { name, help, kind }: Omit<Reading, "read">,
    labelNames: readonly Label[],
    values: () => readonly (readonly [Readonly<Record<Label, string>>, number])[],
  ): void {
    const common = { name, help, labelNames, registers: [] };
    const metric =
      kind === "counter"
        ? new Counter({
            ...common,
            // An engine that starts again counts from 0: a reset, as Prometheus knows them.
            collect() {
              this.reset();
              for (const [labels, value] of values()) this.inc(labels, value);
            },
          })
        : new Gauge({
            ...common,
            collect() {
              this.reset();
              for (const [labels, value] of values()) this.set(labels, value);
            },
          });
    this.#registry.registerMetric(metric);
  }

  #addReading({ read, ...description }: Reading): void {
    this.#add(description, ["db"], () =>
      this.#options
        .patients()
        .flatMap(({ path: db, status }) =>
          status === undefined ? [] : [[{ db }, read(status)] as const],
        ),
    );
  }

  #addHealth(): void {
    const { patients, clock } = this.#options;
    const all = (): readonly DatabaseHealth[] => {
      const nowMs = clock.nowMs();
      return patients().map((patient) => healthOf(patient, nowMs, this.#options));
    };
    this.#add(
      { name: "headwater_database_state", help: "1 for the state the database is in." },
      ["db", "state"],
      () => all().map(({ path: db, state }) => [{ db, state }, 1]),
    );
    this.#add(
      {
        name: "headwater_replica_lag_seconds",
        help: "How long something has not been in the replica; 0 = everything is.",
      },
      ["db"],
      () => all().map(({ path: db, lagMs }) => [{ db }, lagMs / 1000]),
    );
    this.#add(
      { name: "headwater_healthy", help: "1 while the database is protected." },
      ["db"],
      () => all().map(({ path: db, isHealthy }) => [{ db }, Number(isHealthy)]),
    );
  }
}
