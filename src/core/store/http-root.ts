// Where the objects of a store behind HTTP lie, and what is asked and told of them, whether the reader waits or stands still.
import { HeadwaterError } from "../base/errors.ts";
import { checkKey } from "./object-key.ts";
import type { GetOptions } from "./object-store.ts";

export class HttpRoot {
  /** For messages and logs; holds no secret. */
  readonly url: string;
  readonly #root: string;
  readonly #query: string;

  /** `https://host/path`, with or without a slash at its end; a query goes with every request. Throws `store/url`. */
  constructor(url: string) {
    const { protocol, origin, pathname, search, username } = parseUrl(url);
    if ((protocol !== "http:" && protocol !== "https:") || username !== "") {
      throw invalidUrl(`${origin}${pathname}`);
    }
    this.#root = `${origin}${pathname.replace(/\/*$/u, "/")}`;
    this.#query = search;
    this.url = this.#root.slice(0, -1);
  }

  addressOf(key: string): string {
    checkKey(key);
    const path = key.split("/").map(encodeURIComponent).join("/");
    return `${this.#root}${path}${this.#query}`;
  }

  /** For a part of an object; none for a whole one. */
  headersOf({ offset = 0, length }: Pick<GetOptions, "offset" | "length">): Record<string, string> {
    if (offset === 0 && length === undefined) return {};
    const end = length === undefined ? "" : String(offset + length - 1);
    return { range: `bytes=${offset}-${end}` };
  }
}

/** The ETag without its quotes, else the time of change; `""` where both are hidden. */
export function versionOf({
  headers,
}: {
  readonly headers: { get(name: string): string | null };
}): string {
  const etag = headers.get("etag")?.replace(/^W\//u, "").replaceAll('"', "");
  return etag ?? headers.get("last-modified") ?? "";
}

export function changedObject(key: string): HeadwaterError {
  return new HeadwaterError("store/changed", `get ${key}: it is not the version expected.`, {
    data: { key },
  });
}

function parseUrl(url: string): URL {
  const parsed = URL.parse(url);
  if (parsed === null) throw invalidUrl(url.replace(/[?].*$/u, "?***"));
  return parsed;
}

function invalidUrl(shown: string): HeadwaterError {
  return new HeadwaterError(
    "store/url",
    `${JSON.stringify(shown)} is not a URL of a store behind HTTP. Use https://host/path, without a user name.`,
  );
}
