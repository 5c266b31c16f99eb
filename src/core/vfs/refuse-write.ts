// What to tell somebody who writes to a replica: that it is one, and where to write.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import { readLease } from "../replica/lease-object.ts";
import type { LeaseRecord } from "../replica/lease-object.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { AskSqlite } from "./replica-database.ts";

/** `ask`, with another error for a statement that would write. */
export function refusingWrites(
  ask: AskSqlite,
  refuse: (waiting: Waiting) => Promise<HeadwaterError>,
): AskSqlite {
  return async (request, waiting) => {
    try {
      return await ask(request, waiting);
    } catch (error) {
      if (!hasCode(error, "query/read-only")) throw error;
      throw await refuse(waiting);
    }
  };
}

/** The error for a statement that would write. Costs one request; without an answer it knows less. */
export async function refuseWrite(store: ObjectStore, waiting: Waiting): Promise<HeadwaterError> {
  const writer = await writerOf(store, waiting);
  const place =
    writer === undefined
      ? "Write to the database that is replicated."
      : `Write to the database that is replicated: Headwater copies it from ${writer.owner}, last heard of at ` +
        `${new Date(writer.renewedAtMs).toISOString()}.`;
  return new HeadwaterError(
    "query/read-only",
    `${store.url} is a replica, which is read-only. ${place} Tables of your own can be made with CREATE TEMP TABLE.`,
    { data: { url: store.url, writer: writer?.owner } },
  );
}

async function writerOf(store: ObjectStore, waiting: Waiting): Promise<LeaseRecord | undefined> {
  try {
    const lease = await readLease(store, waiting);
    return lease?.record;
  } catch {
    // That nothing can be written is what has to be said, whatever became of the question who can.
    return undefined;
  }
}
