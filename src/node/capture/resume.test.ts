// Going on where an earlier capture stopped, while the application's next commit overwrites what has not been read.
import { expect, test } from "vitest";
import { silentLogger } from "../../core/base/log.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { systemClock } from "../base/clock.ts";
import { openCapture } from "./capture.ts";
import type { OpenCaptureOptions } from "./capture-types.ts";

/** Captures one commit and ends; returns what goes on from there. */
async function captureOnce(app: SqliteProcess, path: string): Promise<OpenCaptureOptions> {
  await app.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x)");
  const options = { path, clock: systemClock, logger: silentLogger };
  const first = await openCapture(options);
  await app.exec("INSERT INTO t VALUES(1)");
  first.capture();
  const resumeAt = first.position;
  await first.close();
  return { ...options, resumeAt };
}

test("frames that were checkpointed and unread are read before a writer can overwrite them", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await using app = new SqliteProcess(path);
  const resume = await captureOnce(app, path);

  await app.exec("INSERT INTO t VALUES(2)");
  await app.exec("PRAGMA wal_checkpoint(RESTART)");
  await using second = await openCapture(resume);
  expect(second.resumed).toBe(true);
  await app.exec("INSERT INTO t VALUES(3)");
  expect(second.capture()).toMatchObject({ transactions: 2 });
});

test("with everything read before, the writer's restart of the WAL is followed", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await using app = new SqliteProcess(path);
  const resume = await captureOnce(app, path);

  await app.exec("PRAGMA wal_checkpoint(RESTART)");
  await using second = await openCapture(resume);
  expect(second.resumed).toBe(true);
  await app.exec("INSERT INTO t VALUES(2)");
  expect(second.capture()).toMatchObject({ transactions: 1 });
});
