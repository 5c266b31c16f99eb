// The lease on a real S3 server, whose conditional writes are not those of the book.
import { beforeAll, describe, expect, inject, test } from "vitest";
import { silentLogger } from "../src/core/base/log.ts";
import type { ObjectStore } from "../src/core/store/object-store.ts";
import { createRetryingStore } from "../src/core/store/retrying-store.ts";
import { systemClock, systemRandom } from "../src/node/base/clock.ts";
import { createS3Store } from "../src/node/store/s3-store.ts";
import { leaseCases } from "./support/lease-cases.ts";
import { createBucket } from "./support/s3-bucket.ts";

const s3 = inject("s3");
const bucket = `headwater-lease-${Date.now()}`;
let replicas = 0;

/** With retries, as in the daemon: Ceph may answer a request that meets a write with 500. */
function openStore(): ObjectStore {
  const world = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const store = createS3Store({
    url: `s3://${bucket}/replica-${++replicas}?endpoint=${s3?.endpoint}`,
    environment: {
      AWS_ACCESS_KEY_ID: s3?.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3?.secretAccessKey,
    },
    ...world,
  });
  return createRetryingStore(store, { ...world, attempts: 10 });
}

describe.skipIf(s3 === undefined)("a lease on S3", () => {
  beforeAll(async () => {
    if (s3 !== undefined) await createBucket(s3, bucket);
  });

  test.for(leaseCases)("$name", async ({ run }) => {
    await expect(run(openStore)).resolves.toBeUndefined();
  });
});
