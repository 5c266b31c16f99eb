// Who else has put files into level 0 of a replica. A wide file has a name of its own, which two writers do not both put, so
// level 0 is looked through before it is put; where there is one each second, no more often than once a minute.
import type { Clock } from "../../core/base/clock.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { Waiting } from "./waiting.ts";

/** How long what was seen is trusted. */
const trustMs = 60_000;

export interface LevelZeroWatchOptions {
  readonly clock: Clock;
  /** Lists level 0. */
  readonly list: (waiting: Waiting) => Promise<readonly ReplicaFile[]>;
}

export interface StrangersQuestion extends Waiting {
  /** The newest TXID that was acknowledged here. */
  readonly through: bigint;
  /** Key of the file that is to be put: an attempt that failed may have put it. */
  readonly except: string;
}

export class LevelZeroWatch {
  readonly #options: LevelZeroWatchOptions;
  #last: { readonly atMs: number; readonly through: bigint } | undefined;
  /** Keys that were put since then. */
  readonly #putSince = new Set<string>();

  constructor(options: LevelZeroWatchOptions) {
    this.#options = options;
  }

  /** A file of level 0 was put here. */
  notePut(key: string): void {
    if (this.#last !== undefined) this.#putSince.add(key);
  }

  /** The replica may have become another. */
  forget(): void {
    this.#last = undefined;
    this.#putSince.clear();
  }

  /** True when a file ends after `through`. */
  async hasLater({ through, except, signal }: StrangersQuestion): Promise<boolean> {
    const files = await this.#options.list({ signal });
    return files.some(({ key, maxTxid }) => maxTxid > through && key !== except);
  }

  /**
   * The same, or that one has come since this was asked before that was not put here. Asked at most once a minute: in
   * between, a second writer is found by the lease alone, or by a name that both put.
   */
  async hasStrangers({ through, except, signal }: StrangersQuestion): Promise<boolean> {
    const now = this.#options.clock.monotonicMs();
    const last = this.#last;
    if (last !== undefined && now - last.atMs < trustMs) return false;
    const files = await this.#options.list({ signal });
    const isOurs = ({ key, maxTxid }: ReplicaFile): boolean =>
      maxTxid <= through &&
      (last === undefined || maxTxid <= last.through || this.#putSince.has(key));
    if (!files.every((file) => file.key === except || isOurs(file))) return true;
    this.#last = { atMs: now, through };
    this.#putSince.clear();
    return false;
  }
}
