// The store of a replica behind HTTP as a browser reads it: waiting, and standing still. No request needs a preflight.
import type { Logger } from "../core/base/log.ts";
import { createBlockingManifestStore } from "../core/replica/manifest-store.ts";
import type { BlockingReads } from "../core/store/blocking-reads.ts";
import { createHttpReads } from "../core/store/http-reads.ts";
import { createHttpStore } from "../core/store/http-store.ts";
import type { ObjectStore } from "../core/store/object-store.ts";
import { createRetryingStore } from "../core/store/retrying-store.ts";
import { browserClock as clock, browserRandom as random } from "./clock.ts";
import { fetchNow } from "./xhr.ts";

/** A server that does not answer is asked this often before a read gives up; progress starts the count anew. */
const attempts = 6;
const backoff = { firstMs: 250, maxMs: 10_000 } as const;

/** Makes no request. Throws `store/url`. */
export function openHttpReplica(
  url: string,
  logger: Logger,
): { readonly store: ObjectStore; readonly reads: BlockingReads } {
  // Bound to nothing, `fetch` refuses to work.
  const http = createHttpStore({
    url,
    fetch: (address, request) => fetch(address, request),
    revalidation: "cache",
  });
  const manifests = createBlockingManifestStore(http, createHttpReads({ url, fetchNow }));
  const store = createRetryingStore(manifests.store, { clock, random, logger, attempts, backoff });
  return { store, reads: manifests.reads };
}
