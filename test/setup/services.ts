// Starts the real servers of the project "service" once. What is missing is named, and its tests are left out;
// with HEADWATER_REQUIRE_ALL=1 it is an error.
import type { TestProject } from "vitest/node";
import { hasCeph, startCeph } from "../support/ceph.ts";
import type { S3Service } from "../support/ceph.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** `undefined`: not here, and said so. */
    readonly s3: S3Service | undefined;
  }
}

export default async function startServices(project: TestProject): Promise<() => Promise<void>> {
  if (!hasCeph()) {
    project.provide("s3", undefined);
    return async () => undefined;
  }
  const ceph = await startCeph();
  project.provide("s3", ceph.service);
  return async () => {
    await ceph[Symbol.asyncDispose]();
  };
}
