// Fields of log events as what they are counted by.
import type { LogFields } from "../../core/base/log.ts";

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function numberOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

export function secondsOf(fields: LogFields): number {
  return numberOf(fields["elapsedMs"]) / 1000;
}
