// Followers in the process of the test, and what to compare an output with.
import { readFileSync } from "node:fs";
import type { ObjectInfo, ObjectStore } from "../../src/core/store/object-store.ts";
import { patchDatabaseHeader } from "../../src/core/sqlite/database-header.ts";
import type { FollowOptions } from "../../src/node/follow/follow-options.ts";
import { resolveFollowOptions } from "../../src/node/follow/follow-options.ts";
import { Follower } from "../../src/node/follow/follower.ts";
import { StateFile, stateFileOf } from "../../src/node/follow/state-file.ts";
import { type Environment, systemEnvironment } from "../../src/node/restore/environment.ts";

export interface Logged {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A follower without its loop: every step is taken by the test. */
export class SteppedFollower implements AsyncDisposable {
  readonly path: string;
  readonly log: Logged[] = [];
  readonly #follower: Follower;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    path: string,
    log: Logged[],
    follower: Follower,
    stack: AsyncDisposableStack,
  ) {
    this.path = path;
    this.log = log;
    this.#follower = follower;
    this.#stack = stack;
  }

  static async open(
    url: string,
    options: FollowOptions,
    surroundings: Partial<Environment> = {},
    { isOurs = true } = {},
  ): Promise<SteppedFollower> {
    const log: Logged[] = [];
    const environment: Environment = {
      ...systemEnvironment(),
      logger: { log: (_, event, fields = {}) => void log.push({ event, fields }) },
      ...surroundings,
    };
    await using stack = new AsyncDisposableStack();
    const state = stack.use(StateFile.open(stateFileOf(options.output)));
    const store = stack.use(await environment.openReplica(url, {}));
    const resolved = resolveFollowOptions(url, { intervalMs: 0.001, ...options });
    const path = options.output;
    const follower = stack.use(
      new Follower({ environment, options: resolved, path, store, state }),
    );
    await follower.start({ isOurs });
    return new SteppedFollower(path, log, follower, stack.move());
  }

  get txid(): bigint | undefined {
    return this.#follower.position?.txid;
  }

  /** The names of the events so far. */
  get events(): readonly string[] {
    return this.log.map(({ event }) => event);
  }

  /** Steps until there is nothing new. Throws what a step throws. */
  async catchUp(): Promise<bigint | undefined> {
    while ((await this.#follower.step({})) !== "idle");
    return this.txid;
  }

  step(): Promise<string> {
    return this.#follower.step({});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** What an output must be, byte for byte, when it is at the TXID that `database` is of. */
export function patchedLike(database: Uint8Array, output: Uint8Array): Uint8Array {
  const expected = Uint8Array.from(database);
  const header = new DataView(output.buffer, output.byteOffset, 100);
  const pageSize = new DataView(database.buffer, database.byteOffset).getUint16(16);
  patchDatabaseHeader(expected, {
    pageCount: database.length / (pageSize === 1 ? 65536 : pageSize),
    changeCounter: header.getUint32(24),
  });
  return expected;
}

/** The bytes of a file. Nobody may have it open with SQLite in this process. */
export function bytesOf(path: string): Uint8Array {
  return readFileSync(path);
}

/** `store` with only those objects that `shows` lets through. */
export function partOf(store: ObjectStore, shows: (info: ObjectInfo) => boolean): ObjectStore {
  return {
    url: store.url,
    features: (options) => store.features(options),
    put: (key, body, options) => store.put(key, body, options),
    get: (key, options) => store.get(key, options),
    head: async (key, options) => {
      const info = await store.head(key, options);
      return info !== undefined && shows(info) ? info : undefined;
    },
    async *list(options) {
      for await (const info of store.list(options)) if (shows(info)) yield info;
    },
    delete: (keys, options) => store.delete(keys, options),
    copy: (from, to, options) => store.copy(from, to, options),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
