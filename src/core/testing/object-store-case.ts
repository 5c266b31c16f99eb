// The words in which the cases of the object-store suite are written.
import { HeadwaterError, messageOf } from "../base/errors.ts";
import type { ErrorCode } from "../base/errors.ts";
import { collectBytes, bytesEqual } from "../base/bytes.ts";
import { bodyOf } from "../store/object-store.ts";
import type {
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectInfo,
  ObjectStore,
  PutOptions,
} from "../store/object-store.ts";
import { createSeededRandom } from "./seeded-random.ts";

/** Makes a store without objects that no other case uses. The case disposes it. */
export type OpenEmptyStore = () => Promise<ObjectStore>;

export interface ObjectStoreCase {
  /** A sentence about behaviour. */
  readonly name: string;
  /** Rejects, saying what was expected, when the store breaks the promise. */
  readonly run: (open: OpenEmptyStore) => Promise<void>;
}

/** A case on one open store. */
export function storeCase(
  name: string,
  run: (store: ObjectStore) => Promise<void>,
): ObjectStoreCase {
  return {
    name,
    run: async (open) => {
      await using store = await open();
      await run(store);
    },
  };
}

/** Throws `message` unless `condition`. */
export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** Throws unless both print the same. */
export function checkEqual(actual: unknown, expected: unknown, what: string): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(found === wanted, `${what}: expected ${wanted}, found ${found}`);
}

/** Awaits a failure with one of the codes. */
export async function checkFails(
  work: Promise<unknown>,
  ...codes: readonly ErrorCode[]
): Promise<void> {
  const error = await failureOf(work);
  check(error !== undefined, `expected ${codes.join(" or ")}, but it succeeded`);
  const code = error instanceof HeadwaterError ? error.code : undefined;
  check(
    code !== undefined && codes.includes(code),
    `expected ${codes.join(" or ")}, found ${messageOf(error)}`,
  );
}

/** Awaits a failure that is the very `reason`. */
export async function checkFailsWith(work: Promise<unknown>, reason: unknown): Promise<void> {
  const error = await failureOf(work);
  check(error === reason, `expected ${String(reason)}, found ${messageOf(error)}`);
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error;
  }
}

export function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const noiseBlockBytes = 65_521;

/** Bytes without a short pattern, the same for the same seed: one random block over and over, each with its number. */
export function noise(sizeBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const block = createSeededRandom(seed).bytes(Math.min(noiseBlockBytes, sizeBytes));
  for (let at = 0, number = 0; at < sizeBytes; at += block.length, number++) {
    bytes.set(block.subarray(0, sizeBytes - at), at);
    bytes[at] = number;
  }
  return bytes;
}

/** A body of `bytes` in chunks, each wiped once the next is asked for: what is kept without copying comes out wrong. */
export function borrowedBody(
  bytes: Uint8Array,
  options: { readonly sizeBytes?: number | undefined; readonly chunkBytes?: number } = {},
): ObjectBody {
  const chunkBytes = options.chunkBytes ?? 100_000;
  return {
    sizeBytes: "sizeBytes" in options ? options.sizeBytes : bytes.length,
    async *open() {
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        const chunk = bytes.slice(at, at + chunkBytes);
        yield chunk;
        chunk.fill(0xee);
      }
    },
  };
}

/** A body that gives `bytes` and then does what `end` does. */
export function brokenBody(
  bytes: Uint8Array,
  sizeBytes: number | undefined,
  end: () => Promise<void>,
): ObjectBody {
  return {
    sizeBytes,
    async *open() {
      yield bytes;
      await end();
    },
  };
}

export async function put(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array | string,
  options: PutOptions = {},
): Promise<ObjectInfo> {
  return store.put(key, bodyOf(typeof bytes === "string" ? textBytes(bytes) : bytes), options);
}

/** All bytes of an object or of a range, `undefined` if it is absent. */
export async function read(
  store: ObjectStore,
  key: string,
  options: GetOptions = {},
): Promise<Uint8Array | undefined> {
  const content = await store.get(key, options);
  if (content === undefined) return undefined;
  return collectBytes(content.body);
}

export async function checkContent(
  store: ObjectStore,
  key: string,
  expected: Uint8Array | string,
): Promise<void> {
  const bytes = await read(store, key);
  const wanted = typeof expected === "string" ? textBytes(expected) : expected;
  check(bytes !== undefined, `${key} should exist`);
  check(
    bytesEqual(bytes, wanted),
    `${key} holds ${bytes.length} bytes that are not the ${wanted.length} expected`,
  );
}

/** Fails unless the key is absent by every way of asking. */
export async function checkAbsent(store: ObjectStore, key: string): Promise<void> {
  check((await store.head(key, {})) === undefined, `head should not find ${key}`);
  check((await store.get(key, {})) === undefined, `get should not find ${key}`);
  checkEqual(await keysOf(store, { prefix: key }), [], `list should not find ${key}`);
}

export async function keysOf(store: ObjectStore, options: ListOptions): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(options)) keys.push(key);
  return keys;
}
