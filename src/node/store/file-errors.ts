// What an error of the file system means for a store.
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";
import type { ErrorCode } from "../../core/base/errors.ts";

const codeByPlatformCode: Readonly<Record<string, ErrorCode>> = {
  EACCES: "store/denied",
  EPERM: "store/denied",
  EROFS: "store/denied",
  // All of these pass: space is freed, descriptors are closed, a network file system comes back.
  ENOSPC: "store/unavailable",
  EDQUOT: "store/unavailable",
  EIO: "store/unavailable",
  EMFILE: "store/unavailable",
  ENFILE: "store/unavailable",
  EBUSY: "store/unavailable",
  ENOENT: "store/unavailable",
  ESTALE: "store/unavailable",
  ETIMEDOUT: "store/unavailable",
  EHOSTDOWN: "store/unavailable",
};

/** Awaits `work`, turning a failure of the file system into a `store/*` error that names `path`. */
export async function fileWork<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toStoreError(error, path);
  }
}

function toStoreError(error: unknown, path: string): unknown {
  const platform = platformCode(error);
  if (error instanceof HeadwaterError || platform === undefined) return error;
  return new HeadwaterError(
    codeByPlatformCode[platform] ?? "store/failed",
    `${path}: ${messageOf(error)}`,
    { data: { path, platformCode: platform }, cause: error },
  );
}
