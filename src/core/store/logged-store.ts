// Every request as a log event: what, which key, how long, how it ended.
import type { Clock } from "../base/clock.ts";
import { HeadwaterError, messageOf } from "../base/errors.ts";
import type { LogFields, Logger } from "../base/log.ts";
import type { ListOptions, ObjectInfo, ObjectStore } from "./object-store.ts";

interface Logging {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A request that is to be logged. */
interface LoggedRequest extends Logging {
  /** Kind of store: the scheme of its URL. */
  readonly store: string;
}

/**
 * `store`, logging each finished request at level debug as `store.<operation>` with its kind and `elapsedMs`. A list is one event
 * when it ends; the body of a get is not followed.
 */
export function createLoggedStore(store: ObjectStore, tools: Logging): ObjectStore {
  const logging = { ...tools, store: store.url.slice(0, store.url.indexOf(":")) };
  return {
    url: store.url,
    features: (options) => logged(logging, "features", {}, () => store.features(options)),
    put: (key, body, options) =>
      logged(logging, "put", { key }, () => store.put(key, body, options), describe),
    get: (key, options) => {
      const { offset, length } = options;
      const work = (): ReturnType<ObjectStore["get"]> => store.get(key, options);
      return logged(logging, "get", { key, offset, length }, work, (got) => describe(got?.info));
    },
    head: (key, options) =>
      logged(logging, "head", { key }, () => store.head(key, options), describe),
    list: (options) => loggedList(store, options, logging),
    delete: (keys, options) => {
      const fields = { key: keys[0], objects: keys.length };
      return logged(logging, "delete", fields, () => store.delete(keys, options));
    },
    copy: (from, to, options) =>
      logged(logging, "copy", { from, to }, () => store.copy(from, to, options), describe),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

async function logged<T>(
  { store, clock, logger }: LoggedRequest,
  operation: string,
  fields: LogFields,
  work: () => Promise<T>,
  describeResult: (result: T) => LogFields = () => ({}),
): Promise<T> {
  const startMs = clock.monotonicMs();
  let outcome: LogFields = {};
  try {
    const result = await work();
    outcome = describeResult(result);
    return result;
  } catch (error) {
    outcome = failure(error);
    throw error;
  } finally {
    const elapsedMs = Math.round(clock.monotonicMs() - startMs);
    logger.log("debug", `store.${operation}`, { store, ...fields, ...outcome, elapsedMs });
  }
}

async function* loggedList(
  store: ObjectStore,
  options: ListOptions,
  { store: kind, clock, logger }: LoggedRequest,
): AsyncGenerator<ObjectInfo, void, undefined> {
  const { prefix, after } = options;
  const startMs = clock.monotonicMs();
  let objects = 0;
  let outcome: LogFields = { isComplete: false };
  try {
    for await (const info of store.list(options)) {
      objects += 1;
      yield info;
    }
    outcome = { isComplete: true };
  } catch (error) {
    outcome = failure(error);
    throw error;
  } finally {
    const elapsedMs = Math.round(clock.monotonicMs() - startMs);
    const fields = { store: kind, prefix, after, objects };
    logger.log("debug", "store.list", { ...fields, ...outcome, elapsedMs });
  }
}

function describe(info: ObjectInfo | undefined): LogFields {
  return info === undefined ? { isPresent: false } : { sizeBytes: info.sizeBytes };
}

function failure(error: unknown): LogFields {
  const code = error instanceof HeadwaterError ? error.code : undefined;
  return { error: messageOf(error), code };
}
