// One database of the soak and everything that works on it: writers of the ledger (support/ledger.ts), foreign checkpoints,
// long readers. It can pause, be vacuumed, be deleted and come back: each time with an empty ledger and another "life"
// in its settings, so that a restored file says which of them it is from.
import { mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { checkLedger } from "../support/check-ledger.ts";
import type { Child } from "../support/children.ts";
import { startDisturber } from "../support/disturber.ts";
import type { DisturberOptions } from "../support/disturber.ts";
import { ledgerSchema } from "../support/ledger.ts";
import { lastCommitted, startLoad } from "../support/load.ts";
import type { LoadOptions } from "../support/load.ts";
import { removeDatabase } from "../support/scene.ts";
import { SqliteProcess } from "../support/sqlite-process.ts";

export interface ApplicationPlan {
  /** Path of the database below the working directory; also that of its replica in the bucket. */
  readonly name: string;
  /** Its writers. One with a number of transactions closes the database after them and is started again. */
  readonly loads: readonly Omit<LoadOptions, "path" | "seed">[];
  readonly disturbers: readonly Omit<DisturberOptions, "path" | "seed">[];
}

/** How much of the application's work a state of its database holds. */
export interface LedgerState {
  /** 0 = made first. */
  readonly life: number;
  readonly seq: number;
}

export class Application implements AsyncDisposable {
  readonly name: string;
  readonly path: string;
  readonly #plan: ApplicationPlan;
  readonly #disturbers: Child[] = [];
  readonly #loads = new Set<Child>();
  #seed: number;
  #life = -1;
  /** Newest transaction of this life that an ended writer has reported. */
  #seq = 0;
  #commitsBefore = 0;
  #exists = false;
  #pause = new AbortController();
  #working: readonly Promise<void>[] = [];

  constructor(directory: string, plan: ApplicationPlan, seed: number) {
    this.name = plan.name;
    this.path = join(directory, plan.name);
    this.#plan = plan;
    this.#seed = seed;
  }

  /** Whether its database is there. */
  get exists(): boolean {
    return this.#exists;
  }

  /** What was certainly committed by now. */
  get state(): LedgerState {
    return { life: this.#life, seq: Math.max(this.#seq, ...[...this.#loads].map(lastCommitted)) };
  }

  /** Commits of all lives. */
  get commits(): number {
    return this.#commitsBefore + this.state.seq;
  }

  /** Makes the database, complete when it appears, and begins to work. */
  appear(): void {
    this.#life++;
    this.#commitsBefore += this.#seq;
    this.#seq = 0;
    mkdirSync(dirname(this.path), { recursive: true });
    const unfinished = `${this.path}.new`;
    {
      using db = new DatabaseSync(unfinished);
      db.exec(`PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; ${ledgerSchema}
        INSERT INTO settings VALUES('life', '${this.#life}')`);
    }
    renameSync(unfinished, this.path);
    this.#exists = true;
    for (const plan of this.#plan.disturbers)
      this.#disturbers.push(startDisturber({ ...plan, path: this.path, seed: this.#seed++ }));
    this.resume();
  }

  resume(): void {
    const pause = new AbortController();
    this.#pause = pause;
    this.#working = this.#plan.loads.map((load) => this.#work(load, pause.signal));
    // What a writer dies of is told by `pause`.
    for (const work of this.#working) work.catch(() => undefined);
  }

  /** Its writers close the database. Throws if one of them has failed. */
  async pause(): Promise<void> {
    this.#pause.abort();
    await Promise.all(this.#working);
    this.#working = [];
  }

  /** Everybody lets go of the database, and it is deleted with its WAL. */
  async disappear(): Promise<void> {
    await this.pause();
    await this.#endDisturbers();
    removeDatabase(this.path);
    this.#exists = false;
  }

  /** VACUUM beside the writers. False if they kept the database locked. */
  async vacuum(): Promise<boolean> {
    await using connection = new SqliteProcess(this.path);
    try {
      await connection.exec("VACUUM");
    } catch (error) {
      if (!String(error).includes("locked")) throw error;
      return false;
    }
    await connection.close();
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#pause.abort();
    for (const load of this.#loads) await load[Symbol.asyncDispose]();
    await Promise.allSettled(this.#working);
    await this.#endDisturbers();
  }

  async #work(plan: Omit<LoadOptions, "path" | "seed">, pause: AbortSignal): Promise<void> {
    while (!pause.aborted) {
      await using load = startLoad({
        busyTimeoutMs: 60_000,
        ...plan,
        path: this.path,
        seed: this.#seed++,
      });
      this.#loads.add(load);
      try {
        // Before that it does not know SIGTERM.
        await load.line((line) => line === "ready");
        const end = (): void => load.signal("SIGTERM");
        pause.addEventListener("abort", end);
        if (pause.aborted) end();
        await load.success();
        pause.removeEventListener("abort", end);
      } finally {
        this.#seq = Math.max(this.#seq, lastCommitted(load));
        this.#loads.delete(load);
      }
    }
  }

  async #endDisturbers(): Promise<void> {
    for (const disturber of this.#disturbers.splice(0)) await disturber.end("SIGKILL");
  }
}

/** Proves a restored file: sound for SQLite, a whole prefix of a ledger. Returns which. */
export function provedState(path: string): LedgerState {
  const { seq } = checkLedger(path);
  const url = pathToFileURL(path);
  url.searchParams.set("immutable", "1");
  using db = new DatabaseSync(url, { readOnly: true });
  const life = db.prepare("SELECT value FROM settings WHERE key = 'life'").get()?.["value"];
  if (life === undefined) throw new Error(`${path}: its settings do not say which life it is from`);
  return { life: Number(life), seq };
}

/** Whether `state` holds everything that `least` does, or is of a later life. */
export function isAtLeast(state: LedgerState, least: LedgerState): boolean {
  return state.life > least.life || (state.life === least.life && state.seq >= least.seq);
}
