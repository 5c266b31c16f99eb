import { describe, expect, test } from "vitest";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { EngineStatus } from "../engine/engine-status.ts";
import { noLevels } from "../engine/replica-upkeep.ts";
import { noVerification } from "../engine/verification.ts";
import { healthOf } from "./health.ts";
import type { DatabaseHealth, Patient } from "./health.ts";

const nowMs = 1_000_000;

function statusWith(changes: Partial<EngineStatus>): EngineStatus {
  return {
    state: "replicating",
    path: "/a.db",
    txid: undefined,
    replicatedThrough: 0n,
    transactions: 0,
    pendingTransactions: 0,
    databaseSizeBytes: 0,
    walSizeBytes: 0,
    uploadedBytes: 0,
    stagedBytes: 0,
    isDiskFull: false,
    isWalBlocked: false,
    uploadedAtMs: undefined,
    unreplicatedSinceMs: undefined,
    failingSinceMs: undefined,
    lastError: undefined,
    budget: undefined,
    levels: noLevels,
    verification: noVerification,
    replicas: [],
    ...changes,
  };
}

function judge(
  status: Partial<EngineStatus> | undefined,
  patient: Partial<Patient> = {},
): DatabaseHealth {
  const whole = status && statusWith(status);
  const base = { path: "/a.db", isStopped: false, failure: undefined, status: whole };
  return healthOf({ ...base, ...patient }, nowMs, { maxLagMs: 60_000 });
}

describe("a database is healthy", () => {
  test.each([
    ["while everything is in the replica", {}],
    ["while it waits for its file", { state: "waiting" as const }],
    ["while an upload is on its way", { unreplicatedSinceMs: nowMs - 59_000 }],
    ["while its store is away for a moment", { failingSinceMs: nowMs - 59_000 }],
  ])("%s", (_name, status) => {
    expect(judge(status)).toMatchObject({ isHealthy: true, reasons: [] });
  });

  test("when a person has stopped it, and when it rests", () => {
    const failure = new HeadwaterError("engine/stopped", "x");
    expect(judge(undefined, { isStopped: true, failure })).toMatchObject({
      isHealthy: true,
      state: "stopped",
    });
    expect(judge(undefined)).toMatchObject({ isHealthy: true, state: "idle" });
  });
});

describe("a database is not healthy", () => {
  test.each([
    ["lagging", { unreplicatedSinceMs: nowMs - 61_000 }],
    ["lagging", { failingSinceMs: nowMs - 61_000 }],
    ["disk-full", { isDiskFull: true }],
    ["wal-blocked", { isWalBlocked: true }],
    ["levels-failing", { levels: { ...noLevels, failingSinceMs: 0 } }],
    ["verification-failed", { verification: { ...noVerification, result: "failed" as const } }],
  ])("%s", (reason, status) => {
    expect(judge(status)).toMatchObject({ isHealthy: false, reasons: [reason] });
  });

  test("while it cannot be replicated, with the error", () => {
    expect(judge(undefined, { failure: new Error("no disk") })).toMatchObject({
      isHealthy: false,
      state: "failing",
      reasons: ["failing"],
      error: "no disk",
    });
  });
});

test("lag is measured from the first moment that something was missing, and a clock set back is no lag", () => {
  expect(judge({ unreplicatedSinceMs: nowMs - 5, failingSinceMs: nowMs - 9 }).lagMs).toBe(9);
  expect(judge({ unreplicatedSinceMs: nowMs + 500 }).lagMs).toBe(0);
  expect(judge({}).lagMs).toBe(0);
});
