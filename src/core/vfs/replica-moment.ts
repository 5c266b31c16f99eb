// Which state of a replica somebody means, by a date, words or a TXID: when it is opened, and in the name of a file in SQL.
import { HeadwaterError } from "../base/errors.ts";
import { parseMoment } from "../base/moments.ts";
import { parseTxid } from "../ltx/txid.ts";
import type { Txid } from "../ltx/txid.ts";
import type { ViewTarget } from "../view/replica-views.ts";
import type { AskedMoment } from "./protocol.ts";

/** Which state to open; without `at` and `txid` the newest. */
export interface OpenMoment {
  /** The newest state strictly before a moment: a date, or words: `"2 hours ago"`, `"2026-11-26T14:30:00Z"`. */
  readonly at?: Date | string | undefined;
  /** Exactly this TXID. */
  readonly txid?: Txid | undefined;
  /** Goes on to newer states by itself, as they reach the store: queries see the newest one. */
  readonly follow?: boolean | undefined;
  /**
   * With `follow`: address of the database at its primary, such as `http://127.0.0.1:9090/databases/app`. What that has staged
   * is seen at once, before it is in the store; while it is away the store is looked at as ever.
   */
  readonly push?: string | undefined;
  /** What the primary asks for. Never logged. */
  readonly pushToken?: string | undefined;
}

/** `undefined`: the newest. Throws `usage/invalid`. */
export function openTarget(
  { at, txid, follow, push }: OpenMoment,
  nowMs: number,
): ViewTarget | undefined {
  if (push !== undefined && follow !== true) {
    throw invalid("A replica that a primary pushes to follows: set follow, or leave push out.");
  }
  if (at !== undefined && txid !== undefined) {
    throw invalid("Give at or txid to open a replica: one of them.");
  }
  if (follow === true && (at !== undefined || txid !== undefined)) {
    throw invalid(
      "A replica that is opened at a moment stays there: leave follow out, or at and txid.",
    );
  }
  if (txid !== undefined) return { kind: "txid", txid };
  if (at === undefined) return undefined;
  const beforeMs = (typeof at === "string" ? parseMoment(at, nowMs, "at") : at).getTime();
  if (Number.isNaN(beforeMs)) throw invalid("The date to open a replica at is not a valid one.");
  return { kind: "time", beforeMs };
}

/** The moment that a file name in SQL asks for. Throws `usage/invalid`. */
export function askedTarget({ at, txid }: AskedMoment, nowMs: number): ViewTarget {
  if (txid === undefined) {
    return { kind: "time", beforeMs: parseMoment(at ?? "", nowMs, "at").getTime() };
  }
  if (at !== undefined) throw invalid("Give at or txid in the name of a file: one of them.");
  const parsed = parseTxid(txid.toLowerCase());
  if (parsed === undefined) {
    throw invalid(`txid must be 16 hexadecimal digits, not ${JSON.stringify(txid)}.`);
  }
  return { kind: "txid", txid: parsed };
}

/** What the replica is called in SQL: the last part of its URL's path, else its host. */
export function nameOfReplica(url: string): string {
  const { pathname, host } = new URL(url);
  const name = pathname.split("/").findLast((part) => part !== "") ?? "";
  try {
    return decodeURIComponent(name) || host;
  } catch {
    // It has a percent sign that stands for itself.
    return name;
  }
}

function invalid(message: string): HeadwaterError {
  return new HeadwaterError("usage/invalid", message);
}
