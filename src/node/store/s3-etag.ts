// ETags as the store shows them: without the quotes of HTTP, because servers disagree about those.
import { HeadwaterError } from "../../core/base/errors.ts";

/** The ETag of a success. A success without one is none (seen from overloaded gateways). */
export function toEtag(
  etag: string | undefined,
  { operation, key }: { readonly operation: string; readonly key: string },
): string {
  const bare = bareEtag(etag);
  if (bare !== "") return bare;
  throw new HeadwaterError(
    "store/unavailable",
    `${operation} ${key}: the store confirmed it without an ETag.`,
  );
}

export function bareEtag(etag: string | undefined): string {
  return etag?.replace(/^"(.*)"$/, "$1") ?? "";
}
