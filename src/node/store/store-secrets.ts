// What opens a store and must not stand in a URL, which is written into state directories and messages.

/** Secrets of a store. They come before those in the environment, and are never shown. */
export interface StoreSecrets {
  /** Counts only together with `secretAccessKey`. */
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  /** 32 bytes in base64, with which S3 encrypts the objects. */
  readonly sseCustomerKey?: string | undefined;
}
