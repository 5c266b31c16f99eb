// Listing, page after page, trusting the server with neither the order nor the start.
import { ListObjectsV2Command } from "@aws-sdk/client-s3";
import type { _Object as ListedObject } from "@aws-sdk/client-s3";
import { throwIfAborted } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { isKey } from "../../core/store/object-key.ts";
import type { ListOptions, ObjectInfo } from "../../core/store/object-store.ts";
import { bareEtag } from "./s3-etag.ts";
import type { S3Requests } from "./s3-requests.ts";

/** Names that are no keys of ours (folder markers, for instance) are passed over. */
export async function* listObjects(
  requests: S3Requests,
  options: ListOptions,
): AsyncGenerator<ObjectInfo, void, undefined> {
  const { bucket, keyPrefix } = requests.settings;
  const { prefix, signal } = options;
  let last = options.after;
  let token: string | undefined;
  do {
    const command = new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: keyPrefix + prefix,
      // XML cannot carry every character of a key.
      EncodingType: "url",
      ...(token === undefined ? {} : { ContinuationToken: token }),
      ...(token !== undefined || last === undefined ? {} : { StartAfter: keyPrefix + last }),
    });
    const page = await requests.run({ operation: "list", key: prefix, signal }, (client, send) =>
      client.send(command, send),
    );
    let lastOfPage: string | undefined;
    for (const object of page.Contents ?? []) {
      throwIfAborted(options);
      const key = decodeKey(object.Key ?? "").slice(keyPrefix.length);
      if (!isKey(key)) continue;
      if (lastOfPage !== undefined && key <= lastOfPage)
        throw disordered(requests.url, lastOfPage, key);
      lastOfPage = key;
      // Not every server knows StartAfter.
      if (!key.startsWith(prefix) || (last !== undefined && key <= last)) continue;
      last = key;
      yield toInfo(key, object);
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    if (page.IsTruncated === true && token === undefined) {
      throw new HeadwaterError(
        "store/failed",
        `list ${prefix} in ${requests.url}: the store cut the list short without a way to go on.`,
      );
    }
  } while (token !== undefined);
}

/** `encoding-type=url` means form encoding on AWS and percent encoding elsewhere: a space is + or %20, a plus %2B. */
function decodeKey(encoded: string): string {
  return decodeURIComponent(encoded.replaceAll("+", " "));
}

function toInfo(key: string, { Size, ETag, LastModified }: ListedObject): ObjectInfo {
  return {
    key,
    sizeBytes: Size ?? 0,
    etag: bareEtag(ETag),
    timestampMs: LastModified?.getTime() ?? 0,
    isExactTime: false,
  };
}

function disordered(url: string, before: string, after: string): HeadwaterError {
  return new HeadwaterError(
    "store/failed",
    `list in ${url}: the store lists ${after} after ${before}. Directory buckets (S3 Express) list without order and cannot hold a replica.`,
  );
}
