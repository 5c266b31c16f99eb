// The two SQLites of a replica with a local copy, as one connection: reads run on the copy, at native speed, everything else on
// the WebAssembly SQLite over the views. Both see one state: the copy that is open and the newest view that is published go
// forward together, and only while no statement and no transaction holds the state that it has read from.
import { Mutex, type Waiting } from "../../core/base/async.ts";
import { hasCode } from "../../core/base/errors.ts";
import type { Copy } from "../hydrate/local-copies.ts";
import type { NativeSqlite } from "./native-sqlite.ts";
import type { Request, RowsReply } from "../../core/vfs/protocol.ts";
import type { PublishedPages } from "./published-pages.ts";
import type { SqliteClient } from "../../core/vfs/sqlite-client.ts";
import { kindOf } from "./statement-kind.ts";

/** Tables of the connection's own, and databases that are attached. */
const ownStateSql =
  "SELECT 1 FROM pragma_database_list WHERE seq > 1 UNION ALL SELECT 1 FROM temp.sqlite_schema LIMIT 1";

const maxRefusedTexts = 256;

export interface HydratedSqliteOptions {
  /** SQLite over the views. */
  readonly wasm: Pick<SqliteClient, "ask" | "isInTransaction">;
  readonly native: NativeSqlite;
  readonly pages: PublishedPages;
  /** The state that the next statement sees. */
  readonly current: () => { readonly txid: bigint };
  readonly copies: {
    readonly newest: Copy | undefined;
    /** A newer one is being made. */
    readonly isWorking: boolean;
  };
}

type StartRequest = Extract<Request, { readonly kind: "start" }>;

export class HydratedSqlite {
  readonly #options: HydratedSqliteOptions;
  readonly #turn = new Mutex();
  /** Whether the WebAssembly SQLite has tables or databases that the copy has not; `undefined`: it has to be asked. */
  #hasOwnState: boolean | undefined = false;
  /** A setting was made, which the other SQLite has not. */
  #isSet = false;
  /** Texts that the copy did not take: they are not offered again until there is another. */
  readonly #refusedTexts = new Set<string>();
  /** A copy that could not be opened. */
  #refused: Copy | undefined;
  /** A statement of the transaction that is open has read from the copy. */
  #hasReadCopy = false;

  constructor(options: HydratedSqliteOptions) {
    this.#options = options;
  }

  /** Throws as `SqliteClient.ask`. Statements on the copy have negative numbers. */
  ask(request: Request, waiting: Waiting): Promise<RowsReply> {
    const ask = async (): Promise<RowsReply> => {
      if (request.kind === "start") return this.#start(request, waiting);
      if (request.statement >= 0) return this.#options.wasm.ask(request, waiting);
      const { native } = this.#options;
      const statement = -request.statement;
      return ofCopy(await native.ask({ ...request, statement }, waiting));
    };
    const reply = this.#turn.run(ask, waiting);
    // The last statement that held a state may be gone: whoever writes the copies waits for that.
    void this.#settleAfter(reply);
    return reply;
  }

  /** Goes over to the newest copy and the newest view, unless something holds the ones before. */
  async settle(): Promise<void> {
    if (this.#isBehind) await this.#turn.run(() => this.#settle());
  }

  async #settleAfter(reply: Promise<RowsReply>): Promise<void> {
    await reply.catch(() => undefined);
    await this.settle();
  }

  async #start(request: StartRequest, waiting: Waiting): Promise<RowsReply> {
    const { native, wasm } = this.#options;
    await this.#settle();
    const kind = kindOf(request.sql);
    const isForCopy = kind === "read" && !this.#refusedTexts.has(request.sql);
    let isRefused = false;
    if (isForCopy && (await this.#isCopyCurrent(waiting))) {
      try {
        const reply = await native.ask(request, waiting);
        this.#hasReadCopy = wasm.isInTransaction;
        return ofCopy(reply);
      } catch (error) {
        // What one SQLite refuses, the other answers for: it knows more, and says the same as before there was a copy.
        waiting.signal?.throwIfAborted();
        if (hasCode(error, "query/corrupt")) this.#refuseCopy();
        isRefused = true;
      }
    }
    if (kind === "own") this.#hasOwnState = undefined;
    if (kind === "setting") this.#isSet = true;
    const reply = await wasm.ask(request, waiting);
    if (!wasm.isInTransaction) this.#hasReadCopy = false;
    // With other parameters, what both refuse may be right.
    if (isRefused && this.#refusedTexts.size < maxRefusedTexts) this.#refusedTexts.add(request.sql);
    return reply;
  }

  /** It may have been damaged where it lies: what the replica has is not. */
  #refuseCopy(): void {
    const { native } = this.#options;
    this.#refused = native.copy;
    native.close();
  }

  /** Whether a read sees on the copy what it would see on the views. */
  async #isCopyCurrent(waiting: Waiting): Promise<boolean> {
    const { native, wasm, current } = this.#options;
    if (this.#isSet || native.copy === undefined || native.copy.txid !== current().txid)
      return false;
    if (this.#hasOwnState === undefined) {
      const request = { kind: "start", sql: ownStateSql, parameters: [], isSingle: true } as const;
      const { rows } = await wasm.ask(request, waiting);
      this.#hasOwnState = rows.length > 0;
    }
    return !this.#hasOwnState;
  }

  /** A statement on the copy is open, or a transaction has read from it. */
  get #isHeld(): boolean {
    const { native, wasm } = this.#options;
    return native.isHeld || (this.#hasReadCopy && wasm.isInTransaction);
  }

  /** The copy to go over to. */
  get #next(): Copy | undefined {
    const { native, copies } = this.#options;
    const { newest } = copies;
    return newest === native.copy || newest === this.#refused ? undefined : newest;
  }

  get #isBehind(): boolean {
    return !this.#isHeld && (this.#next !== undefined || this.#options.pages.isBehind);
  }

  async #settle(): Promise<void> {
    const { native, pages, copies } = this.#options;
    if (!this.#isBehind) return;
    const next = this.#next;
    if (next !== undefined) {
      this.#refusedTexts.clear();
      try {
        await native.open(next);
      } catch {
        // Somebody has taken the file away. Statements do without a copy until there is another.
        this.#refused = next;
      }
    }
    // For the moment that the next copy takes, the one that is there has all that is known.
    const isWaited = copies.isWorking && native.copy?.txid === pages.txid;
    if (!isWaited) pages.advance();
  }
}

function ofCopy(reply: RowsReply): RowsReply {
  const { statement } = reply;
  return statement === undefined ? reply : { ...reply, statement: -statement };
}
