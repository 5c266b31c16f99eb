// The replicas that one entry of `dbs` names: found in either of its two forms, completed from the top of the file, checked.
import type { Environment } from "../../store/s3-settings.ts";
import { storePrices } from "../../store/store-prices.ts";
import type { ReplicateOptions } from "../engine-options.ts";
import type { ConfigFile, DatabaseEntry } from "./keys.ts";
import type { KeyPath, Remarks } from "./mistakes.ts";
import { globalSettingNames } from "./replica-keys.ts";
import type { ReplicaEntry } from "./replica-keys.ts";

export interface EntryContext {
  readonly remarks: Remarks;
  readonly at: KeyPath;
  readonly environment: Environment;
  readonly file: ConfigFile;
}

/** A replica of an entry, and where it stands in the file. */
export interface FoundReplica {
  readonly replica: ReplicaEntry;
  readonly at: KeyPath;
}

/** All of them, at least one. After a mistake, which is in the remarks, `undefined`. */
export function replicasOfEntry(
  entry: DatabaseEntry,
  context: Pick<EntryContext, "remarks" | "at" | "file">,
): readonly FoundReplica[] | undefined {
  const { remarks, file } = context;
  const found = listReplicas(entry, context);
  if (found.length === 0 || !found.every((one) => checkUrl(one, remarks))) return undefined;
  const replicas = found.map(({ replica, at }) => ({ at, replica: withDefaults(replica, file) }));
  checkAlike(replicas, remarks);
  return replicas;
}

/** What the replica may cost. After a mistake, which is in the remarks, `undefined`. */
export function budgetOf(
  { replica, at }: FoundReplica,
  url: string,
  { remarks, environment }: Pick<EntryContext, "remarks" | "environment">,
): Pick<ReplicateOptions, "maxCostPerMonth" | "maxPutsPerMonth"> | undefined {
  const { "max-cost": maxCostPerMonth, "max-puts-per-month": maxPutsPerMonth } = replica;
  if (maxCostPerMonth !== undefined && maxPutsPerMonth !== undefined) {
    remarks.mistake([...at, "max-cost"], "and max-puts-per-month exclude each other.");
    return undefined;
  }
  if (maxCostPerMonth !== undefined && storePrices(url, environment).prices === undefined) {
    remarks.mistake(
      [...at, "max-cost"],
      "cannot be kept: the prices of this store are not known. Set max-puts-per-month instead.",
    );
    return undefined;
  }
  return { maxCostPerMonth, maxPutsPerMonth };
}

/** After a mistake none. */
function listReplicas(
  { replica, replicas }: DatabaseEntry,
  { remarks, at }: Pick<EntryContext, "remarks" | "at">,
): readonly FoundReplica[] {
  if (replica !== undefined && replicas !== undefined) {
    remarks.mistake([...at, "replicas"], "and replica exclude each other.");
    return [];
  }
  if (replica !== undefined) return [{ replica, at: [...at, "replica"] }];
  const found = (replicas ?? []).map((one, index) => ({
    replica: one,
    at: [...at, "replicas", index],
  }));
  if (found.length === 0) remarks.mistake(at, "needs a replica.");
  if (found.length === 1)
    remarks.warning([...at, "replicas"], "is the old form. Write replica, without the list.");
  return found;
}

function checkUrl({ replica, at }: FoundReplica, remarks: Remarks): boolean {
  if (replica.url === undefined) return true;
  const twice = (["path", "bucket", "host", "webdav-url"] as const).find(
    (name) => replica[name] !== undefined,
  );
  if (twice === undefined) return true;
  remarks.mistake([...at, twice], "and url exclude each other. The URL holds it.");
  return false;
}

/** What is staged is staged once for all replicas, at one pace. */
function checkAlike(replicas: readonly FoundReplica[], remarks: Remarks): void {
  const [first, ...others] = replicas;
  for (const { replica, at } of others) {
    for (const name of ["sync-interval", "max-cost", "max-puts-per-month"] as const) {
      if (replica[name] !== first?.replica[name])
        remarks.mistake([...at, name], "must be the same for all replicas of a database.");
    }
  }
}

/** What the replica leaves out comes from the top of the file; a URL names its bucket and host itself. */
function withDefaults(replica: ReplicaEntry, file: ConfigFile): ReplicaEntry {
  const inUrl = new Set(replica.url === undefined ? [] : ["bucket", "host", "webdav-url"]);
  // Two ways to give one key: a replica's own way wins over the other way of the top.
  for (const [one, other] of [
    ["sse-customer-key", "sse-customer-key-path"],
    ["sse-customer-key-path", "sse-customer-key"],
    ["max-cost", "max-puts-per-month"],
    ["max-puts-per-month", "max-cost"],
  ] as const) {
    if (replica[one] !== undefined) inUrl.add(other);
  }
  const defaults = globalSettingNames
    .filter((name) => !inUrl.has(name))
    .map((name) => [name, file[name]] as const);
  return { ...Object.fromEntries(defaults), ...replica };
}
