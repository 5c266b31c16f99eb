// Replicas behind HTTP as Node reads them: with the platform's `fetch`, and user and password of the URL as a header.
import { createManifestStore } from "../../core/replica/manifest-store.ts";
import { createHttpStore } from "../../core/store/http-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";

/** The store at an `http:` or `https:` URL, read-only. Makes no request. Throws `store/url`. */
export function createHttpReplica(url: string): ObjectStore {
  const { address, authorization } = withoutUser(url);
  const headers = authorization === undefined ? {} : { authorization };
  return createManifestStore(
    createHttpStore({ url: address, fetch, headers, revalidation: "header" }),
  );
}

/** `fetch` takes no user from a URL. */
function withoutUser(url: string): {
  readonly address: string;
  readonly authorization: string | undefined;
} {
  const parsed = URL.parse(url);
  if (parsed === null || parsed.username === "") return { address: url, authorization: undefined };
  const user = decodeURIComponent(`${parsed.username}:${parsed.password}`);
  parsed.username = "";
  parsed.password = "";
  return {
    address: parsed.href,
    authorization: `Basic ${Buffer.from(user, "utf8").toString("base64")}`,
  };
}
