// What a state directory says to somebody who only looks: no lock is taken, nothing is changed.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { platformCode } from "../../core/base/errors.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { readJson } from "./durable-file.ts";
import { readVerification } from "./verification-record.ts";
import type { VerificationRecord } from "./verification-record.ts";

export interface StateSummary {
  /** 16 hexadecimal digits; `undefined` before the first TXID. */
  readonly localTxid: string | undefined;
  readonly stagedFiles: number;
  /** What the last verifications found; `undefined` before the first. */
  readonly verification: VerificationRecord | undefined;
  /** Each replica that was replicated to from here, by URL. */
  readonly replicas: readonly ReplicaSummary[];
}

export interface ReplicaSummary {
  readonly url: string;
  /** 16 hexadecimal digits; `undefined` before the first acknowledged file. */
  readonly txid: string | undefined;
}

/** `undefined` if there is no state directory. Throws `engine/state` if it is damaged. */
export async function readStateFiles(stateDirectory: string): Promise<StateSummary | undefined> {
  const state = await readJson(nodeFileSystem, join(stateDirectory, "state.json"));
  if (state === undefined) return undefined;
  const staged = (await namesIn(join(stateDirectory, "ltx", "0"))).filter((name) =>
    name.endsWith(".ltx"),
  );
  const names = await namesIn(join(stateDirectory, "replicas"));
  const records = await Promise.all(
    names
      .filter((name) => name.endsWith(".json"))
      .map((name) => readJson(nodeFileSystem, join(stateDirectory, "replicas", name))),
  );
  return {
    localTxid: staged
      .map((file) => file.slice(-20, -4))
      .toSorted()
      .at(-1),
    stagedFiles: staged.length,
    replicas: records
      .flatMap((record) => {
        const url = textOf(record?.["url"]);
        return url === undefined ? [] : [{ url, txid: textOf(record?.["txid"]) }];
      })
      .toSorted((a, b) => (a.url < b.url ? -1 : 1)),
    verification: await readVerification({ fileSystem: nodeFileSystem, stateDirectory }),
  };
}

/** The replica with the lowest TXID; one without any comes first. */
export function furthestBehind(replicas: readonly ReplicaSummary[]): ReplicaSummary | undefined {
  const txidOf = ({ txid = "" }: ReplicaSummary): string => txid;
  return replicas.toSorted((a, b) => (txidOf(a) < txidOf(b) ? -1 : 1))[0];
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    if (platformCode(error) === "ENOENT") return [];
    throw error;
  }
}
