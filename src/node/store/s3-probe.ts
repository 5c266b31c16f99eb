// What does this server really do with conditions? Tried, because servers ignore what they do not know and answer 200.
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import type { PutObjectCommandInput } from "@aws-sdk/client-s3";
import { toHex } from "../../core/base/bytes.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Random } from "../../core/base/random.ts";
import { bareEtag } from "./s3-etag.ts";
import type { S3Requests } from "./s3-requests.ts";

export interface S3Abilities {
  readonly createOnly: boolean;
  readonly replaceIfUnchanged: boolean;
  /** Ceph before 2023 compares an ETag with the quotes that HTTP demands, and never finds it equal. */
  readonly wantsBareEtags: boolean;
}

type Outcome = { readonly stored: true; readonly etag: string } | { readonly stored: false };

/** Three to six puts of a random key, which is deleted again. Throws only where nothing could be found out. */
export async function probeS3(requests: S3Requests, random: Random): Promise<S3Abilities> {
  const key = `.headwater-probe-${toHex(random.bytes(8))}`;
  const about = { operation: "probe", key };

  async function attempt(
    condition: Pick<PutObjectCommandInput, "IfMatch" | "IfNoneMatch">,
  ): Promise<Outcome> {
    const command = new PutObjectCommand({
      ...requests.target(key),
      ...condition,
      Body: random.bytes(16),
      ContentLength: 16,
    });
    try {
      const { ETag } = await requests.run(about, (client, options) =>
        client.send(command, options),
      );
      return { stored: true, etag: bareEtag(ETag) };
    } catch (error) {
      if (isRefusal(error)) return { stored: false };
      throw error;
    }
  }

  try {
    const first = await attempt({ IfNoneMatch: "*" });
    const second = await attempt({ IfNoneMatch: "*" });
    const current = second.stored || !first.stored ? await attempt({}) : first;
    const createOnly = first.stored && !second.stored;
    const etag = current.stored ? current.etag : "";
    const stale = "0".repeat(32);
    for (const quote of ['"', ""]) {
      const match = (tag: string): string => quote + tag + quote;
      if ((await attempt({ IfMatch: match(stale) })).stored) break;
      if (!(await attempt({ IfMatch: match(etag) })).stored) continue;
      return { createOnly, replaceIfUnchanged: true, wantsBareEtags: quote === "" };
    }
    return { createOnly, replaceIfUnchanged: false, wantsBareEtags: false };
  } finally {
    const target = { Bucket: requests.target(key).Bucket, Key: requests.target(key).Key };
    await requests.run({ operation: "probe", key }, (client) =>
      client.send(new DeleteObjectCommand(target)),
    );
  }
}

/** The server looked at the condition and said no (412, 409), or said that it knows no conditions (400, 501). */
function isRefusal(error: unknown): boolean {
  const status = error instanceof HeadwaterError ? error.data["status"] : undefined;
  return [400, 409, 412, 501].some((refusal) => refusal === status);
}
