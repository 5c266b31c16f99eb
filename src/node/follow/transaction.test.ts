// Transactions around the lock page, on a sparse file of more than 1 GiB: SQLite takes that page's number in a journal for the
// journal's end, so what lies behind it would not be undone.
import { closeSync, ftruncateSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { pageOf } from "../../../test/support/replica-builder.ts";
import { bytesEqual } from "../../core/base/bytes.ts";
import { lockPgno } from "../../core/base/page.ts";
import { patchDatabaseHeader } from "../../core/sqlite/database-header.ts";
import { createFaultyFileSystem } from "../../core/testing/faulty-file-system.ts";
import { systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { writeTransaction } from "./transaction.ts";

it("undoes and does a shrink across the lock page", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("large.db");
  const pageSize = 65536;
  const lock = lockPgno(pageSize);
  const [commit, keep] = [lock + 3, lock - 3];
  {
    using db = new DatabaseSync(path);
    db.exec(`PRAGMA page_size=${pageSize}; CREATE TABLE t(x); INSERT INTO t VALUES('old')`);
  }
  const last = pageOf(pageSize, 7);
  const raw = openSync(path, "r+");
  const first = new Uint8Array(pageSize);
  readSync(raw, first, 0, pageSize, 0);
  patchDatabaseHeader(first, { pageCount: commit, changeCounter: 1 });
  writeSync(raw, first, 0, pageSize, 0);
  ftruncateSync(raw, commit * pageSize);
  writeSync(raw, last, 0, pageSize, (commit - 1) * pageSize);

  const shrink = async (isFailing: boolean): Promise<void> => {
    const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ name, path: at }) =>
      isFailing && name === "unlink" && at.endsWith("-journal") ? "EIO" : undefined,
    );
    await using file = await fileSystem.open(path, "update");
    const target = { fileSystem, random: systemRandom, path, file, pageSize, commit };
    const change = {
      ...{ pageSize, keep, commit: keep, source: file },
      pgnos: new Uint32Array(0),
      offsetOf: () => 0,
    };
    await writeTransaction(target, change, 2);
  };
  const state = (): { sizeBytes: number; isLastThere: boolean; rows: unknown[] } => {
    using db = new DatabaseSync(path);
    const rows = db.prepare("SELECT x FROM t").all();
    const page = new Uint8Array(pageSize);
    readSync(raw, page, 0, pageSize, (commit - 1) * pageSize);
    return { sizeBytes: statSync(path).size, isLastThere: bytesEqual(page, last), rows };
  };
  const rows = [{ x: "old" }];
  await expect(shrink(true)).rejects.toThrow(/EIO/u);
  expect(statSync(path).size).toBe(keep * pageSize);
  expect(state()).toEqual({ sizeBytes: commit * pageSize, isLastThere: true, rows });
  await shrink(false);
  expect(state()).toEqual({ sizeBytes: keep * pageSize, isLastThere: false, rows });
  closeSync(raw);
});
