// A writer that dies while it publishes a commit leaves the two copies of the wal-index header different.
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { silentLogger } from "../../core/base/log.ts";
import { systemClock } from "../base/clock.ts";
import { openCapture } from "./capture.ts";

/** Changes a byte of the second copy, in a process of its own: opening the file here would drop SQLite's locks. */
function tear(path: string): void {
  const script = `
    const { openSync, writeSync } = require("node:fs");
    writeSync(openSync(${JSON.stringify(`${path}-shm`)}, "r+"), Uint8Array.of(0xff), 0, 1, 60);`;
  execFileSync(process.execPath, ["-e", script]);
}

test("what was committed before is captured at once all the same", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await using app = new SqliteProcess(path);
  await app.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x)");
  await using capture = await openCapture({ path, clock: systemClock, logger: silentLogger });
  await app.exec("INSERT INTO t VALUES(1)");
  await app.kill();
  tear(path);
  expect(capture.capture()).toMatchObject({ transactions: 1, more: false });
});
