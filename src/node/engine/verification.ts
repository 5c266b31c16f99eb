// Continuous verification, the loop beside capture, uploads and levels: on one interval the source is compared with what
// was captured and the replica's new files are proved, on a slower one a restore is compared with the source byte for byte.
// What it finds it reports once and heals; what it could not look at it tries again. It never stops the rest, and asks
// nothing of the store while nothing new has been put.
import { hasCode, messageOf } from "../../core/base/errors.ts";
import { toHex64 } from "../../core/base/bytes.ts";
import { Bell } from "./bell.ts";
import { msUntilUpkeep } from "./brief-wake.ts";
import type { VerificationStatus } from "./engine-status.ts";
import type { ReplicaParts, VerificationSchedule } from "./parts.ts";
import { Recurring } from "./recurring.ts";
import { ReplicaVerification } from "./replica-verification.ts";
import type { Outcome, ReplicaVerificationHooks } from "./replica-verification.ts";
import { scrubSource } from "./scheduled-scrub.ts";
import { readVerification, writeVerification } from "./verification-record.ts";
import type { VerificationRecordOptions, VerifiedAt } from "./verification-record.ts";
import type { Waiting } from "./waiting.ts";

type Result = VerificationStatus["result"];

/** The database is not there just now, or something else reads it: no finding, and nothing to warn of. */
const postponingCodes = ["capture/gone", "capture/gap", "capture/locked"] as const;

/** The status where nothing is verified. */
export const noVerification: VerificationStatus = Object.freeze({
  result: "none",
  lastVerifiedAtMs: undefined,
  lastVerifiedTxid: 0n,
  lastRestoreVerifiedAtMs: undefined,
  lastRestoreVerifiedTxid: 0n,
  divergedPages: 0,
  faultyFiles: 0,
  failures: 0,
  failingSinceMs: undefined,
  lastError: undefined,
});

/** One of the kinds of verification, with what it found last. */
interface Kind {
  readonly name: "scrub" | "replica-proof" | "restore-verification";
  readonly due: Recurring;
  /** `undefined`: it was not possible now. */
  readonly work: (waiting: Waiting) => Promise<Outcome | undefined>;
  result: Result;
  last: VerifiedAt | undefined;
}

interface Kinds {
  readonly scrub: Kind;
  readonly proof: Kind;
  readonly restore: Kind;
}

export class Verification {
  readonly #parts: ReplicaParts;
  readonly #schedule: VerificationSchedule;
  readonly #hooks: ReplicaVerificationHooks;
  readonly #replica: ReplicaVerification;
  readonly #bell = new Bell();
  #kinds: Kinds | undefined;
  #isAtWork = false;
  #divergedPages = 0;
  #failures = 0;
  #failingSinceMs: number | undefined;
  #lastError: string | undefined;

  constructor(
    parts: ReplicaParts,
    schedule: VerificationSchedule,
    hooks: ReplicaVerificationHooks,
  ) {
    this.#parts = parts;
    this.#schedule = schedule;
    this.#hooks = hooks;
    this.#replica = new ReplicaVerification(parts, parts.link, hooks);
  }

  get status(): VerificationStatus {
    const verified = this.#verified;
    const restored = this.#kinds?.restore.last;
    return {
      result: worstOf(this.#all.map(({ result }) => result)),
      lastVerifiedAtMs: verified?.atMs,
      lastVerifiedTxid: verified?.txid ?? 0n,
      lastRestoreVerifiedAtMs: restored?.atMs,
      lastRestoreVerifiedTxid: restored?.txid ?? 0n,
      divergedPages: this.#divergedPages,
      faultyFiles: this.#replica.faultyFiles,
      failures: this.#failures,
      failingSinceMs: this.#failingSinceMs,
      lastError: this.#lastError,
    };
  }

  /** How long until something is due, ms; 0 also before that is known, and while something is at work or has failed. */
  get msUntilDue(): number {
    const isSettled =
      this.#kinds !== undefined && !this.#isAtWork && this.#failingSinceMs === undefined;
    return isSettled ? Math.min(...this.#all.map(({ due }) => due.msUntilDue)) : 0;
  }

  /** True while something is at work, has failed or will be due within `ms`. What is left for later keeps nobody awake. */
  isBusyWithin(ms: number): boolean {
    const isOff = this.#kinds === undefined || this.#isAtWork || this.#failingSinceMs !== undefined;
    return isOff || (msUntilUpkeep(this.#parts) === 0 && this.msUntilDue <= ms);
  }

  /** Works until aborted. Never throws. */
  async run({ signal }: Waiting): Promise<void> {
    this.#kinds = await this.#load();
    while (!signal.aborted) {
      const dueMs = Math.max(
        msUntilUpkeep(this.#parts),
        Math.min(...this.#all.map(({ due }) => due.msUntilDue)),
      );
      await this.#bell.wait(dueMs, signal);
      for (const kind of this.#all) {
        if (signal.aborted || msUntilUpkeep(this.#parts) > 0) break;
        if (kind.due.msUntilDue > 0) continue;
        this.#isAtWork = true;
        await this.#attempt(kind, { signal });
        this.#isAtWork = false;
      }
    }
  }

  get #all(): readonly Kind[] {
    return this.#kinds === undefined ? [] : Object.values(this.#kinds);
  }

  /** Source and replica: the older of the two successes. */
  get #verified(): VerifiedAt | undefined {
    const [scrub, proof] = [this.#kinds?.scrub.last, this.#kinds?.proof.last];
    if (scrub === undefined || proof === undefined) return undefined;
    const atMs = Math.min(scrub.atMs, proof.atMs);
    return { atMs, txid: scrub.txid < proof.txid ? scrub.txid : proof.txid };
  }

  async #load(): Promise<Kinds> {
    const { clock, random } = this.#parts;
    const record = await readVerification(this.#recordOptions);
    if (record?.result === "failed") this.#replica.doubt();
    const make = (
      name: Kind["name"],
      intervalMs: number,
      last: VerifiedAt | undefined,
      work: Kind["work"],
    ): Kind => {
      const lastAtMs = last?.atMs;
      const isSpread = this.#parts.endedRest === undefined;
      const due = new Recurring({ intervalMs, lastAtMs, isSpread, clock, random });
      return { name, due, work, last, result: "none" };
    };
    const { verifyIntervalMs: often, verifyRestoreIntervalMs: seldom } = this.#schedule;
    return {
      scrub: make("scrub", often, record?.verified, (waiting) => this.#scrub(waiting)),
      proof: make("replica-proof", often, record?.verified, (waiting) =>
        this.#replica.prove(waiting),
      ),
      restore: make("restore-verification", seldom, record?.restoreVerified, (waiting) =>
        this.#replica.compareRestore(this.#kinds?.restore.last?.txid, waiting),
      ),
    };
  }

  get #recordOptions(): VerificationRecordOptions {
    const { fileSystem, state } = this.#parts;
    const { path: stateDirectory, ownership } = state;
    return { fileSystem, stateDirectory, ownership, replica: this.#schedule.replica };
  }

  async #attempt(kind: Kind, { signal }: Waiting): Promise<void> {
    const { clock, logger } = this.#parts;
    const { name, due } = kind;
    try {
      const startedMs = clock.monotonicMs();
      const outcome = await kind.work({ signal });
      // What is wrong is soon looked at again: whatever mends it, it should not look wrong for an interval longer.
      if (outcome === undefined || outcome.result === "failed") due.noteFailure();
      else due.noteDone();
      if (outcome === undefined) return;
      const { result, txid, problem = "", divergedPages = 0 } = outcome;
      this.#divergedPages += divergedPages;
      kind.result = result;
      if (result === "failed") this.#noteFailed(problem);
      else kind.last = { atMs: clock.nowMs(), txid };
      this.#noteEnd();
      const elapsedMs = Math.round(clock.monotonicMs() - startedMs);
      logger.log("debug", `${name}.done`, { result, txid: toHex64(txid), elapsedMs });
      await this.#save();
    } catch (error) {
      if (signal.aborted) return;
      const waitMs = due.noteFailure();
      if (hasCode(error, ...postponingCodes)) {
        logger.log("debug", `${name}.postponed`, { waitMs, why: error.message });
        return;
      }
      this.#noteFailed(messageOf(error));
      logger.log("warn", `${name}.failed`, { waitMs, error: this.#lastError });
    }
  }

  #noteEnd(): void {
    if (this.#all.some(({ result, due }) => result === "failed" || due.failures > 0)) return;
    this.#failures = 0;
    this.#failingSinceMs = undefined;
    this.#lastError = undefined;
  }

  #noteFailed(error: string): void {
    this.#failures++;
    this.#failingSinceMs ??= this.#parts.clock.nowMs();
    this.#lastError = error;
  }

  async #save(): Promise<void> {
    const { result } = this.status;
    if (result === "none") return;
    const restoreVerified = this.#kinds?.restore.last;
    const record = { result, verified: this.#verified, restoreVerified };
    try {
      await writeVerification(record, this.#recordOptions);
    } catch (error) {
      // It is only told to who asks.
      this.#parts.logger.log("warn", "verification.not-saved", { error: messageOf(error) });
    }
  }

  async #scrub(waiting: Waiting): Promise<Outcome> {
    const { txid, divergedPages } = await scrubSource(this.#parts, this.#hooks.stager, waiting);
    return { result: divergedPages > 0 ? "healed" : "passed", txid, divergedPages };
  }
}

function worstOf(results: readonly Result[]): Result {
  const ranking = ["failed", "healed", "passed"] as const;
  return ranking.find((one) => results.includes(one)) ?? "none";
}
