// What the store behind a URL charges for requests, and how it sends large objects.
import { freeRequests, requestPricesAt } from "../../core/store/request-prices.ts";
import type { RequestPrices } from "../../core/store/request-prices.ts";
import { toS3Settings } from "./s3-settings.ts";
import type { Environment } from "./s3-settings.ts";

export interface StorePrices {
  /** `undefined`: not known. */
  readonly prices: RequestPrices | undefined;
  /** What is larger goes up in parts of this size. */
  readonly partSizeBytes: number;
}

/** Prices of the default storage class alone are known. Throws `store/url` for a URL that cannot be meant. */
export function storePrices(url: string, environment: Environment): StorePrices {
  if (!/^s3:/iu.test(url)) {
    return { prices: freeRequests, partSizeBytes: Number.POSITIVE_INFINITY };
  }
  const settings = toS3Settings(url, environment);
  const { bucket, endpoint, storageClass = "STANDARD", partSizeBytes } = settings;
  const host = URL.parse(endpoint ?? "https://s3.amazonaws.com")?.hostname ?? "";
  // Directory buckets, of S3 Express One Zone, have names that end so.
  const isStandard = storageClass.toUpperCase() === "STANDARD" && !bucket.endsWith("--x-s3");
  return { prices: isStandard ? requestPricesAt(host) : undefined, partSizeBytes };
}
