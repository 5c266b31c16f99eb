// Gets ready for the first replica of a program: what opening one and reading from it needs is loaded, and has run once with a
// replica that exists in memory alone, so that it is compiled.
import { randomFillSync } from "node:crypto";
import { collectBytes, viewOf } from "../../core/base/bytes.ts";
import type { Clock } from "../../core/base/clock.ts";
import { openCodec } from "../../core/codec/codec.ts";
import { encodeLtx } from "../../core/ltx/encoder.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import { litestreamLayout, maxLevel } from "../../core/replica/layout.ts";
import {
  databaseHeaderSizeBytes,
  encodeDatabaseHeader,
} from "../../core/sqlite/database-header.ts";
import { createMemoryStore } from "../../core/store/memory-store.ts";
import { type ObjectStore, bodyOf } from "../../core/store/object-store.ts";
import { type Environment, systemEnvironment } from "../restore/environment.ts";
import { openReplicaIn } from "./open-replica.ts";
import { hasSpareThread } from "./start-thread.ts";

/** That of most databases. */
const pageSize = 4096;
/** More than is read of a file together with its index. */
const pageCount = 48;
/** Reads a page, whatever is in it. */
const readPageSql = "SELECT length(data) AS size FROM sqlite_dbpage WHERE pgno = ?";
const queries = 3;

let rehearsing: Promise<void> | undefined;

/**
 * Loads SQLite for the next `openReplica`, which is then as fast as it can be. Keeps no process alive. A replica that is
 * closed leaves SQLite to the next one, so that once is enough where one is open at a time. Throws what keeps SQLite's thread
 * from starting.
 */
export async function preloadSqlite(): Promise<void> {
  if (hasSpareThread()) return;
  rehearsing ??= rehearse().finally(() => {
    rehearsing = undefined;
  });
  await rehearsing;
}

async function rehearse(): Promise<void> {
  const environment = systemEnvironment();
  // Loaded when it is used otherwise.
  const { createRetryingStore } = await import("../../core/store/retrying-store.ts");
  await import("../store/file-store.ts");
  const retries = { ...environment, attempts: 1, backoff: { firstMs: 1, maxMs: 1 } };
  const openReplica = async (): Promise<ObjectStore> =>
    createRetryingStore(await makeReplica(environment.clock), retries);
  const stage: Environment = { ...environment, openReplica };
  await using db = await openReplicaIn(stage, "memory:/rehearsal", {});
  for (let pgno = pageCount; pgno > pageCount - queries; pgno--) {
    await Array.fromAsync(db.query(readPageSql, [pgno]));
  }
}

/** A replica with one full image of a database that has no tables. Its other pages are noise. */
async function makeReplica(clock: Clock): Promise<ObjectStore> {
  const range = { minTxid: toTxid(1), maxTxid: toTxid(1) };
  const header = {
    ...range,
    pageSize,
    commit: pageCount,
    timestampMs: clock.nowMs(),
    noChecksum: true,
    preApplyChecksum: 0n,
    walOffset: 0n,
    walSize: 0n,
    walSalt1: 0,
    walSalt2: 0,
    nodeId: 0n,
    proof: undefined,
  };
  const pgnos = Uint32Array.from({ length: pageCount }, (_, row) => row + 1);
  const chunks = encodeLtx(openCodec(), header, pgnos, (_, from, _count, into) => {
    randomFillSync(into);
    if (from === 0) into.set(firstPage());
  });
  const store = createMemoryStore({ clock });
  const key = litestreamLayout.key({ level: maxLevel, ...range });
  await store.put(key, bodyOf(await collectBytes(chunks)), {});
  return store;
}

/** A header, and a schema table without a row. */
function firstPage(): Uint8Array {
  const page = new Uint8Array(pageSize);
  page.set(
    encodeDatabaseHeader({
      pageSize,
      pageCount,
      writeVersion: 1,
      readVersion: 1,
      reservedBytes: 0,
      changeCounter: 1,
      firstFreelistPgno: 0,
      freelistCount: 0,
      schemaCookie: 0,
      schemaFormat: 4,
      defaultCacheSize: 0,
      largestRootPgno: 0,
      textEncoding: 1,
      userVersion: 0,
      incrementalVacuum: 0,
      applicationId: 0,
      versionValidFor: 1,
      sqliteVersion: 3_051_000,
    }),
  );
  // The head of a b-tree page: a leaf of a table, without cells, whose content begins at its end.
  page[databaseHeaderSizeBytes] = 13;
  viewOf(page).setUint16(databaseHeaderSizeBytes + 5, pageSize);
  return page;
}
