// What a shell is at: a replica, the moment it is looked at, and how rows are printed.
import { parseMoment } from "../../core/base/moments.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { systemClock } from "../base/clock.ts";
import type { ReplicaDatabase } from "../../core/vfs/replica-database.ts";
import type { CliContext } from "./command.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { formatLocalTime } from "./output.ts";
import { openSource } from "./replica-source.ts";
import type { MomentFlags, PushFlags } from "./replica-source.ts";
import type { RowFormat } from "./row-formats.ts";

export interface ShellFlags extends ConfigFlags, MomentFlags, PushFlags {
  readonly hydrate?: string;
}

export class ShellSession implements AsyncDisposable {
  format: RowFormat = "table";
  readonly #context: CliContext;
  readonly #source: string;
  readonly #flags: ShellFlags;
  #db: ReplicaDatabase;

  private constructor(
    context: CliContext,
    opened: {
      readonly source: string;
      readonly flags: ShellFlags;
      readonly db: ReplicaDatabase;
    },
  ) {
    this.#context = context;
    this.#source = opened.source;
    this.#flags = opened.flags;
    this.#db = opened.db;
  }

  static async open(context: CliContext, source: string, flags: ShellFlags): Promise<ShellSession> {
    const db = await openSource(context, source, flags, {});
    return new ShellSession(context, { source, flags, db });
  }

  get db(): ReplicaDatabase {
    return this.#db;
  }

  /** Looks at another moment from now on; without one at the newest. Stays where it is if that fails. */
  async moveTo(moment: MomentFlags, signal: AbortSignal): Promise<void> {
    const { at } = moment;
    // A mistake in it is told before anything is opened.
    if (at !== undefined) parseMoment(at, systemClock.nowMs(), ".at");
    // The local copy is of the state that the shell was opened at, and in use until that is left.
    const {
      at: _at,
      timestamp: _timestamp,
      txid: _txid,
      hydrate: _hydrate,
      push,
      ...config
    } = this.#flags;
    const isNewest = at === undefined && moment.txid === undefined;
    const flags = { ...config, ...moment, ...(isNewest && push !== undefined && { push }) };
    const next = await openSource(this.#context, this.#source, flags, { signal });
    await this.#db[Symbol.asyncDispose]();
    this.#db = next;
  }

  /** In words: TXID and time. */
  describe(): string {
    const { txid, timestampMs } = this.#db;
    return `TXID ${formatTxid(txid)} of ${formatLocalTime(timestampMs)}.`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db[Symbol.asyncDispose]();
  }
}
