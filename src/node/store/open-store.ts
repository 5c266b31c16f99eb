// From a URL to a store. Each scheme's module is loaded when a URL of that scheme is opened.
import { fileURLToPath } from "node:url";
import type { Waiting } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { FileOwnership, FileSystem } from "../../core/base/file-system.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Random } from "../../core/base/random.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { StoreMemory } from "./store-memory.ts";
import type { StoreSecrets } from "./store-secrets.ts";

export interface OpenStoreOptions extends Waiting {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** For file stores. */
  readonly fileSystem: FileSystem;
  /** Of the files that a file store makes; the database's, as a rule. Without it they are their owner's alone. */
  readonly ownership?: FileOwnership | undefined;
  /** Credentials and defaults of S3 come from here; `process.env` as a rule. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly secrets?: StoreSecrets | undefined;
  /** What other stores of this process have found out. */
  readonly memory?: StoreMemory | undefined;
}

/**
 * The store at `url`, rooted at the URL's path: `file:///absolute/path`, `s3://bucket/path?options`, or, read-only and with a
 * manifest for a listing, `https://host/path`. No request is made. It does not retry; put `createRetryingStore` around it. Throws `store/url` for anything it does not understand.
 */
export async function openStore(url: string, options: OpenStoreOptions): Promise<ObjectStore> {
  options.signal?.throwIfAborted();
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === "file") {
    const { createFileStore } = await import("./file-store.ts");
    return createFileStore({ ...options, root: parseFileUrl(url) });
  }
  if (scheme === "s3") {
    const { createS3Store } = await import("./s3-store.ts");
    return createS3Store({ ...options, url, environment: options.environment ?? process.env });
  }
  if (isHttpUrl(url)) {
    const { createHttpReplica } = await import("./http-replica.ts");
    return createHttpReplica(url);
  }
  throw new HeadwaterError(
    "store/url",
    `${JSON.stringify(hideSecrets(url))} is not a URL of a store. Use file:///absolute/path or s3://bucket/path, or ` +
      "https://host/path to read.",
  );
}

/** A replica that can only be read: it is known by its manifest. */
export function isHttpUrl(url: string): boolean {
  return /^https?:\/\//iu.test(url);
}

/** The absolute path of a `file:` URL; its query is ignored, as Litestream does. */
function parseFileUrl(url: string): string {
  try {
    if (!/^file:\/\//i.test(url)) throw new Error("the slashes are missing");
    return fileURLToPath(url.replace(/[?].*$/, ""));
  } catch (error) {
    throw new HeadwaterError(
      "store/url",
      `${JSON.stringify(url)} is not a file URL: ${messageOf(error)}. It needs three slashes and an absolute path, as in file:///var/backups/app.`,
      { cause: error },
    );
  }
}

/**
 * The URL as it may be written down: it opens the same replica where credentials come from the environment. Without
 * passwords and the customer's encryption keys.
 */
export function urlWithoutSecrets(url: string): string {
  const [address = "", query] = url.split("?", 2);
  const shown = address.replace(/\/\/[^/@]*@/, "//");
  // Behind HTTP, a query is a signature or a token.
  if (query === undefined || isHttpUrl(url)) return shown;
  const kept = query.split("&").filter((parameter) => !/^sse-?customer-?key/iu.test(parameter));
  return kept.length === 0 ? shown : `${shown}?${kept.join("&")}`;
}

/** Hides what may be a password in a URL that is about to be shown. */
function hideSecrets(url: string): string {
  return url.replace(/\/\/[^/@]*@/, "//***@").replace(/[?].*$/, "?***");
}
