// The soak's bucket as a whole, past Headwater's own store: what lies in it, and a copy of it for whoever has to find
// out what went wrong.
import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { litestreamS3Layout } from "../../src/core/replica/layout.ts";
import type { S3Service } from "../support/ceph.ts";

export interface Bucket {
  readonly service: S3Service;
  readonly bucket: string;
}

/** Proves that there is nothing in it but LTX files of these replicas, and some of each; returns how many. */
export async function countReplicaFiles(
  bucket: Bucket,
  replicas: readonly string[],
): Promise<number> {
  const client = clientOf(bucket);
  const keys = await keysOf(client, bucket);
  const { Uploads = [] } = await client.send(
    new ListMultipartUploadsCommand({ Bucket: bucket.bucket }),
  );
  client.destroy();
  const replicaOf = (key: string): string | undefined =>
    replicas.find(
      (name) =>
        key.startsWith(`${name}/`) &&
        litestreamS3Layout.parse(key.slice(name.length + 1)) !== undefined,
    );
  const orphans = [
    ...keys.filter((key) => replicaOf(key) === undefined),
    ...Uploads.map(({ Key }) => `unfinished upload of ${Key}`),
  ];
  if (orphans.length > 0)
    throw new Error(`the bucket holds what belongs to no replica: ${orphans.join(", ")}`);
  const found = new Set(keys.map(replicaOf));
  const empty = replicas.filter((name) => !found.has(name));
  if (empty.length > 0) throw new Error(`the bucket holds nothing of ${empty.join(", ")}`);
  return keys.length;
}

/** Copies every object below `directory`. */
export async function saveBucket(bucket: Bucket, directory: string): Promise<void> {
  const client = clientOf(bucket);
  for (const key of await keysOf(client, bucket)) {
    const command = new GetObjectCommand({ Bucket: bucket.bucket, Key: key });
    const { Body } = await client.send(command);
    mkdirSync(dirname(join(directory, key)), { recursive: true });
    await writeFile(join(directory, key), (await Body?.transformToByteArray()) ?? "");
  }
  client.destroy();
}

function clientOf({ service }: Bucket): S3Client {
  const { endpoint, accessKeyId, secretAccessKey } = service;
  const credentials = { accessKeyId, secretAccessKey };
  return new S3Client({ endpoint, credentials, region: "us-east-1", forcePathStyle: true });
}

async function keysOf(client: S3Client, { bucket }: Bucket): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket }))
    keys.push(...Contents.map(({ Key = "" }) => Key));
  return keys;
}
