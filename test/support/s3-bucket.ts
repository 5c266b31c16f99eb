import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import type { S3Service } from "./ceph.ts";

/** Makes a bucket. */
export async function createBucket(
  { endpoint, accessKeyId, secretAccessKey }: S3Service,
  bucket: string,
): Promise<void> {
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, credentials, region: "us-east-1", forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
}
