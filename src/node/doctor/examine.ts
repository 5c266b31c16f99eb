// Examines databases and their replicas, one after the other.
import type { Waiting } from "../../core/base/async.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { isHttpUrl, openStore, urlWithoutSecrets } from "../store/open-store.ts";
import type { OpenStoreOptions } from "../store/open-store.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";
import { checkDatabase } from "./database-checks.ts";
import type { DatabaseFound } from "./database-checks.ts";
import type { DatabaseCheckOptions } from "./database-context.ts";
import { withoutNewDirectories } from "./new-directories.ts";
import { checkAgreement, checkReplica } from "./replica-checks.ts";
import { failedCheck } from "./report.ts";
import type { Report, Subject } from "./report.ts";
import { checkStore } from "./store-checks.ts";

type PatientDatabase = Omit<DatabaseCheckOptions, "clock" | "signal"> & { readonly path: string };

/** What is examined together: a database, replicas, or both. */
export interface Patient {
  readonly database?: PatientDatabase;
  readonly replicas: readonly PatientReplica[];
}

interface PatientReplica {
  readonly url: string;
  readonly secrets?: StoreSecrets | undefined;
}

export interface ExamineOptions extends Waiting, OpenStoreOptions {
  /** Ends the removal of what was made in a store, which goes on after an abort. */
  readonly removalSignal: () => AbortSignal;
}

/** Gives what takes the checks of one subject. Called once per subject, when its first check is about to be made. */
export type ReportOn = (subject: Subject) => Report;

/**
 * Reports on each patient. Of replicas that share a store the first has it probed, the others only their permissions. Must run in a
 * process that has no SQLite open on the databases.
 */
export async function examine(
  patients: readonly Patient[],
  options: ExamineOptions,
  reportOn: ReportOn,
): Promise<void> {
  const probed = new Set<string>();
  for (const { database, replicas } of patients) {
    let found: DatabaseFound | undefined;
    if (database !== undefined) {
      const { path, ...limits } = database;
      const report = reportOn({ kind: "database", name: path });
      found = await checkDatabase(path, { ...options, ...limits }, report);
    }
    for (const replica of replicas) {
      const place = sharedPlace(replica.url, replica.secrets);
      const isKnown = probed.has(place);
      if (await examineReplica(replica, { ...options, found, isKnown }, reportOn))
        probed.add(place);
    }
  }
}

/** Resolves to whether the store could be probed. */
async function examineReplica(
  { url, secrets }: PatientReplica,
  options: ExamineOptions & {
    readonly found: DatabaseFound | undefined;
    readonly isKnown: boolean;
  },
  reportOn: ReportOn,
): Promise<boolean> {
  await using store = await openStore(url, { ...options, secrets });
  const reportStore = reportOn({ kind: "store", name: store.url });
  // Behind HTTP there is nothing to try: it is only read.
  const isReadable =
    isHttpUrl(url) ||
    (await withoutNewDirectories(
      url,
      () => checkStore(store, options, reportStore),
      (error) => reportStore(failedCheck("left-over", error)),
    ));
  if (!isReadable) return false;
  const report = reportOn({ kind: "replica", name: store.url });
  const newest = await checkReplica(store, { ...options, layout: layoutForUrl(url) }, report);
  if (newest === undefined || options.found === undefined) return true;
  const { pageSize, acknowledged } = options.found;
  // The record of another replica, from before the URL was changed, says nothing about this one.
  const named = urlWithoutSecrets(url);
  const acknowledgedTxid = acknowledged.find(({ replica }) => replica === named)?.txid;
  report(checkAgreement(newest, { pageSize, acknowledgedTxid }));
  return true;
}

/** The same text for replicas whose stores keep the same promises: one bucket, or one directory of replicas. */
function sharedPlace(url: string, secrets: StoreSecrets | undefined): string {
  const [address = "", query = ""] = url.split("?", 2);
  const isS3 = /^s3:/iu.test(url);
  const place = isS3 ? /^s3:\/\/[^/]*/iu.exec(address)?.[0] : address.replace(/\/+[^/]*\/*$/u, "");
  return JSON.stringify([place, isS3 ? query : "", secrets]);
}
