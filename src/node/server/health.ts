// Whether a database is protected right now, and if not, why.
import { messageOf } from "../../core/base/errors.ts";
import type { EngineStatus } from "../engine/engine-status.ts";

/** One database of a fleet as health is judged from it. */
export interface Patient {
  readonly path: string;
  readonly isStopped: boolean;
  readonly failure: unknown;
  /** While an engine is at work, or none is needed. */
  readonly status: EngineStatus | undefined;
}

export type HealthReason =
  | "failing"
  | "lagging"
  | "replica-stopped"
  | "disk-full"
  | "wal-blocked"
  | "levels-failing"
  | "verification-failed";

export interface DatabaseHealth {
  readonly path: string;
  /** `stopped`: by a person, so it is not expected to be replicated. `failing`: tried again, or given up. */
  readonly state: EngineStatus["state"] | "failing" | "idle";
  readonly isHealthy: boolean;
  readonly reasons: readonly HealthReason[];
  /** How long something has not been in the replica, ms; 0 = everything is. */
  readonly lagMs: number;
  readonly error: string | undefined;
}

export interface HealthLimits {
  /** What is not in the replica after this time makes a database unhealthy, ms. */
  readonly maxLagMs: number;
}

export function healthOf(
  { path, isStopped, failure, status }: Patient,
  nowMs: number,
  { maxLagMs }: HealthLimits,
): DatabaseHealth {
  if (isStopped) {
    return { path, state: "stopped", isHealthy: true, reasons: [], lagMs: 0, error: undefined };
  }
  const error = failure === undefined ? status?.lastError : messageOf(failure);
  const lagMs = lagOf(status, nowMs);
  const failingForMs = sinceOf(status?.levels.failingSinceMs, nowMs);
  const checks: readonly (readonly [HealthReason, boolean])[] = [
    ["failing", failure !== undefined && status === undefined],
    ["lagging", lagMs > maxLagMs],
    ["replica-stopped", status?.replicas.some((replica) => replica.state === "stopped") === true],
    ["disk-full", status?.isDiskFull === true],
    ["wal-blocked", status?.isWalBlocked === true],
    ["levels-failing", failingForMs > maxLagMs],
    ["verification-failed", status?.verification.result === "failed"],
  ];
  const reasons = checks.flatMap(([reason, isIll]) => (isIll ? [reason] : []));
  const state = status?.state ?? (failure === undefined ? "idle" : "failing");
  return { path, state, isHealthy: reasons.length === 0, reasons, lagMs, error };
}

/** How long something has been missing in the replica, ms. */
function lagOf(status: EngineStatus | undefined, nowMs: number): number {
  return Math.max(
    sinceOf(status?.unreplicatedSinceMs, nowMs),
    sinceOf(status?.failingSinceMs, nowMs),
  );
}

function sinceOf(sinceMs: number | undefined, nowMs: number): number {
  return sinceMs === undefined ? 0 : Math.max(0, nowMs - sinceMs);
}
