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
  readonly replica: string | undefined;
  readonly replicatedTxid: string | undefined;
  /** What the last verifications found; `undefined` before the first. */
  readonly verification: VerificationRecord | undefined;
}

/** `undefined` if there is no state directory. Throws `engine/state` if it is damaged. */
export async function readStateFiles(stateDirectory: string): Promise<StateSummary | undefined> {
  const state = await readJson(nodeFileSystem, join(stateDirectory, "state.json"));
  if (state === undefined) return undefined;
  const staged = (await namesIn(join(stateDirectory, "ltx", "0"))).filter((name) =>
    name.endsWith(".ltx"),
  );
  const names = await namesIn(join(stateDirectory, "replicas"));
  const name = names.find((one) => one.endsWith(".json"));
  const record =
    name === undefined
      ? undefined
      : await readJson(nodeFileSystem, join(stateDirectory, "replicas", name));
  return {
    localTxid: staged
      .map((file) => file.slice(-20, -4))
      .toSorted()
      .at(-1),
    stagedFiles: staged.length,
    replica: textOf(record?.["url"]),
    replicatedTxid: textOf(record?.["txid"]),
    verification: await readVerification({ fileSystem: nodeFileSystem, stateDirectory }),
  };
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
