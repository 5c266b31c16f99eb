// Bodies on their way into a store: held to the length they announce, stopped by an abort, compared.
import { abortable } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { ObjectBody } from "./object-store.ts";

/**
 * The chunks of a body (borrowed until the next). Throws `store/length`, naming `where`, when there are more or
 * fewer bytes than announced; nothing is yielded beyond the announced length.
 */
export async function* readBody(
  body: ObjectBody,
  where: string,
  { signal }: Waiting,
): AsyncGenerator<Uint8Array, void, undefined> {
  let readBytes = 0;
  for await (const chunk of abortable(body.open({ signal }), { signal })) {
    readBytes += chunk.length;
    if (body.sizeBytes !== undefined && readBytes > body.sizeBytes) {
      throw wrongLength(where, body.sizeBytes, `at least ${readBytes}`);
    }
    yield chunk;
  }
  if (body.sizeBytes !== undefined && readBytes < body.sizeBytes) {
    throw wrongLength(where, body.sizeBytes, String(readBytes));
  }
}

function wrongLength(where: string, announcedBytes: number, found: string): HeadwaterError {
  return new HeadwaterError(
    "store/length",
    `The body for ${where} was announced with ${announcedBytes} bytes but has ${found}. Nothing was stored.`,
    { data: { announcedBytes } },
  );
}
