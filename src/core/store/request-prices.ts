// What stores charge for requests. Storage and traffic are not in it: they do not depend on how often we upload.

/**
 * Requests as stores charge for them. `put`: PUT, COPY and each request of an upload in parts; `get`: GET and HEAD.
 */
export type RequestKind = "put" | "list" | "get" | "delete";

export type RequestCounts = Readonly<Record<RequestKind, number>>;

/** One provider's list. */
export interface RequestPrices {
  readonly provider: string;
  /** USD for one request. */
  readonly usd: RequestCounts;
}

interface PriceList {
  readonly provider: string;
  readonly host: RegExp;
  /** PUT, LIST, GET; deleting is free everywhere. */
  readonly usdPerMillion: readonly [put: number, list: number, get: number];
}

/**
 * First tiers, as published in September 2026; what is free each month is left out, because all buckets of an account
 * share it. docs/cost.md names the pages.
 */
const priceLists: readonly PriceList[] = [
  { provider: "AWS S3 Standard", host: /\.amazonaws\.com$/u, usdPerMillion: [5, 5, 0.4] },
  {
    provider: "Cloudflare R2",
    host: /\.r2\.cloudflarestorage\.com$/u,
    usdPerMillion: [4.5, 4.5, 0.36],
  },
  {
    provider: "Tigris",
    host: /^(?:fly\.storage\.tigris\.dev|t3\.storage\.dev)$/u,
    usdPerMillion: [5, 5, 0.5],
  },
  { provider: "Backblaze B2", host: /\.backblazeb2\.com$/u, usdPerMillion: [0, 4, 0.4] },
  {
    provider: "Google Cloud Storage",
    host: /(?:^|\.)storage\.googleapis\.com$/u,
    usdPerMillion: [5, 5, 0.4],
  },
];

/** A directory asks nothing for its requests. */
export const freeRequests: RequestPrices = {
  provider: "a directory",
  usd: { put: 0, list: 0, get: 0, delete: 0 },
};

/** The prices behind the host of an endpoint; `undefined` if they are not known. */
export function requestPricesAt(host: string): RequestPrices | undefined {
  const found = priceLists.find((list) => list.host.test(host));
  if (found === undefined) return undefined;
  const [put, list, get] = found.usdPerMillion.map((usd) => usd / 1e6);
  return {
    provider: found.provider,
    usd: { put: put ?? 0, list: list ?? 0, get: get ?? 0, delete: 0 },
  };
}

/** Every kind, by the kind. */
export function countsOf(count: (kind: RequestKind) => number): RequestCounts {
  return { put: count("put"), list: count("list"), get: count("get"), delete: count("delete") };
}

/** What so many requests come to, in whatever `weights` are in. */
export function weigh(counts: RequestCounts, weights: RequestCounts): number {
  const { put, list, get, delete: deleted } = counts;
  return put * weights.put + list * weights.list + get * weights.get + deleted * weights.delete;
}
