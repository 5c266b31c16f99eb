// Text as SQLite hands it over.
import { HeadwaterError } from "../base/errors.ts";

/** A byte order mark is a character like any other. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Throws `query/sql` for a text that is longer than a string can be. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new HeadwaterError(
      "query/sql",
      `A text of ${bytes.length} bytes is longer than a string can be. Take parts of it with substr().`,
      { data: { sizeBytes: bytes.length }, cause },
    );
  }
}
