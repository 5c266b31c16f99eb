// The objects that probing a store makes: named so that nobody takes them for a part of a history, and removed whatever
// happens. Their names begin with the time of the run, so that a later run finds what a killed one left.
import type { Waiting } from "../../core/base/async.ts";
import { collectBytes, toHex } from "../../core/base/bytes.ts";
import type { Clock } from "../../core/base/clock.ts";
import type { Random } from "../../core/base/random.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import type {
  GetOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
} from "../../core/store/object-store.ts";

const commonPrefix = ".headwater-doctor-";
const namePattern = /^\.headwater-doctor-(?<startedMs>\d{1,16})-[0-9a-f]{16}-/u;

/** An object of an earlier run that is this old belongs to no run that still goes on. */
const abandonedAfterMs = 3_600_000;
const removeAttempts = 3;
const removePauseMs = 500;

export interface ProbeOptions extends Waiting {
  readonly clock: Clock;
  readonly random: Random;
  /** Ends the removal of what was made, which goes on after an abort; asked for when removing begins. */
  readonly removalSignal: () => AbortSignal;
}

/** The part of a store that one run may write to. `remove` at the end. */
export class ProbeObjects {
  readonly store: ObjectStore;
  readonly #options: ProbeOptions;
  readonly #prefix: string;
  readonly #keys = new Set<string>();

  constructor(store: ObjectStore, options: ProbeOptions) {
    this.store = store;
    this.#options = options;
    const { clock, random } = options;
    // No slash: a directory store would keep an empty directory.
    this.#prefix = `${commonPrefix}${clock.nowMs()}-${toHex(random.bytes(8))}-`;
  }

  /** The key of the object `name`; from now on `remove` looks for it. */
  key(name: string): string {
    const key = this.#prefix + name;
    this.#keys.add(key);
    return key;
  }

  put(
    name: string,
    bytes: Uint8Array,
    options: Pick<PutOptions, "condition" | "timestampMs"> = {},
  ): Promise<ObjectInfo> {
    const { signal } = this.#options;
    return this.store.put(this.key(name), bodyOf(bytes), { ...options, signal });
  }

  /** All bytes that a get gives; `undefined` if there is no such object. */
  async read(
    name: string,
    options: Pick<GetOptions, "offset" | "length"> = {},
  ): Promise<Uint8Array | undefined> {
    const { signal } = this.#options;
    const content = await this.store.get(this.key(name), { ...options, signal });
    return content && (await collectBytes(content.body));
  }

  head(name: string): Promise<ObjectInfo | undefined> {
    return this.store.head(this.key(name), { signal: this.#options.signal });
  }

  /** The objects of this run that the store lists, by name. */
  async list(): Promise<ReadonlyMap<string, ObjectInfo>> {
    const { signal } = this.#options;
    const infoByName = new Map<string, ObjectInfo>();
    for await (const info of this.store.list({ prefix: this.#prefix, signal })) {
      infoByName.set(info.key.slice(this.#prefix.length), info);
    }
    return infoByName;
  }

  copy(from: string, to: string): Promise<ObjectInfo | undefined> {
    return this.store.copy(this.key(from), this.key(to), this.#options);
  }

  delete(names: readonly string[]): Promise<void> {
    const keys = names.map((name) => this.key(name));
    return this.store.delete(keys, { signal: this.#options.signal });
  }

  /**
   * Deletes everything this run has made and what a killed run left an hour ago or more, also after an abort. Returns the
   * keys that are still there, or may be.
   */
  async remove(): Promise<readonly string[]> {
    const signal = this.#options.removalSignal();
    let remaining: readonly string[] = [...this.#keys];
    for (let attempt = 1; attempt <= removeAttempts && remaining.length > 0; attempt++) {
      try {
        if (attempt > 1) await this.#options.clock.sleep(removePauseMs, { signal });
        remaining = await this.#removeOnce(signal);
      } catch {
        // What may still be there is the result; the reason was said by the check that met it first.
      }
    }
    return remaining;
  }

  async #removeOnce(signal: AbortSignal): Promise<readonly string[]> {
    const keys = [...this.#keys, ...(await this.#abandoned(signal))];
    await this.store.delete(keys, { signal });
    const infos = await Promise.all(keys.map((key) => this.store.head(key, { signal })));
    return keys.filter((_, index) => infos[index] !== undefined);
  }

  async #abandoned(signal: AbortSignal): Promise<readonly string[]> {
    const keys: string[] = [];
    const oldestMs = this.#options.clock.nowMs() - abandonedAfterMs;
    for await (const { key } of this.store.list({ prefix: commonPrefix, signal })) {
      const startedMs = namePattern.exec(key)?.groups?.["startedMs"];
      if (startedMs !== undefined && Number(startedMs) < oldestMs) keys.push(key);
    }
    return keys;
  }
}
