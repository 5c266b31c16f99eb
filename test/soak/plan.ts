// What a soak consists of: its databases, and times that fit its length, so that levels are made and retention deletes
// also in a short one.
import { stringify } from "yaml";
import type { S3Service } from "../support/ceph.ts";
import type { ApplicationPlan } from "./application.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** Also end Headwater with SIGKILL now and then. */
  readonly kills: boolean;
  /** Ends it early, as a failure. */
  readonly signal: AbortSignal;
  /** Gets a line about each thing that is done. */
  readonly report: (line: string) => void;
}

/** Directory with the databases that are found by a pattern. */
const watchedName = "apps";

/** The database that deletes itself and comes back, and the one that is taken out of the file and put back. */
export const visitorName = `${watchedName}/eu/north/visitor.db`;
export const listedName = "listed/ledger.db";

export const applicationPlans: readonly ApplicationPlan[] = [
  {
    name: `${watchedName}/orders.db`,
    loads: [{ commitsPerSecond: 40, rough: true }],
    disturbers: [{ kind: "checkpoint", maxMs: 500 }],
  },
  {
    name: `${watchedName}/eu/sessions.db`,
    loads: [
      { commitsPerSecond: 15, pagesPerCommit: 3 },
      { commitsPerSecond: 15, pagesPerCommit: 3, synchronous: "FULL" },
    ],
    disturbers: [{ kind: "read", maxMs: 3_000 }],
  },
  {
    name: `${watchedName}/blobs.db`,
    loads: [{ commitsPerSecond: 4, pagesPerCommit: 80, maxDocuments: 2_000 }],
    disturbers: [],
  },
  {
    name: `${watchedName}/shop.db`,
    loads: [{ commitsPerSecond: 20, transactions: 60, end: "close" }],
    disturbers: [],
  },
  {
    name: visitorName,
    loads: [{ commitsPerSecond: 10 }],
    disturbers: [{ kind: "checkpoint", maxMs: 1_000 }],
  },
  { name: listedName, loads: [{ commitsPerSecond: 10, rough: true }], disturbers: [] },
];

/** In a shorter run nothing is deleted. */
const minutesWithRetention = 2;

export interface ConfigurationFacts {
  readonly directory: string;
  readonly socket: string;
  readonly metricsPort: number;
  readonly bucket: string;
  /** Of the store as Headwater reaches it. */
  readonly service: S3Service;
  readonly minutes: number;
  readonly syncInterval: string;
  /** Whether the database that has an entry of its own is in the file. */
  readonly isListed: boolean;
}

/** The text of the `litestream.yml`. */
export function configuration(facts: ConfigurationFacts): string {
  const { directory, service, minutes, syncInterval } = facts;
  // At most what Litestream's defaults are.
  const part = (share: number, most: number): string =>
    `${Math.round(Math.min(most, minutes * 60 * share) * 1000)}ms`;
  const listed = {
    path: `${directory}/${listedName}`,
    replica: { type: "s3", path: listedName },
  };
  const watched = {
    dir: `${directory}/${watchedName}`,
    pattern: "*.db",
    recursive: true,
    watch: true,
    replica: { type: "s3", path: watchedName },
  };
  return stringify({
    addr: `127.0.0.1:${facts.metricsPort}`,
    socket: { enabled: true, path: facts.socket },
    logging: { type: "json", level: "info" },
    levels: [
      { interval: part(1 / 40, 30) },
      { interval: part(1 / 12, 300) },
      { interval: part(1 / 4, 3600) },
    ],
    snapshot: { interval: part(1 / 6, 86_400), retention: part(1 / 4, 86_400) },
    "l0-retention": part(1 / 15, 300),
    // Reloads and kills come every half minute, and after each nothing is deleted for so long.
    retention: minutes < minutesWithRetention ? {} : { grace: "15s" },
    "access-key-id": service.accessKeyId,
    "secret-access-key": service.secretAccessKey,
    endpoint: service.endpoint,
    bucket: facts.bucket,
    "sync-interval": syncInterval,
    dbs: facts.isListed ? [watched, listed] : [watched],
  });
}
