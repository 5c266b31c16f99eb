import { stat, writeFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { checkLedger } from "./check-ledger.ts";
import { liveImage, sha256OfFile } from "./live-image.ts";
import { startDisturber } from "./disturber.ts";
import { pauseLoad, startLoad } from "./load.ts";
import { temporaryDirectory } from "./temporary.ts";

it("takes the image of a live database, WAL included, and changes nothing", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await using load = startLoad({ path, seed: 11, autocheckpoint: 50, synchronous: "OFF" });
  await load.line((line) => line.startsWith("committed"));
  const seq = await pauseLoad(load);
  const walBytes = (await stat(`${path}-wal`)).size;
  const fileBytes = (await stat(path)).size;
  const copy = directory.file("copy.db");
  const image = await liveImage(path, copy);
  expect(checkLedger(copy).seq).toBe(seq);
  await expect(sha256OfFile(copy)).resolves.toBe(image.sha256);
  expect((await stat(copy)).size).toBe(image.commit * image.pageSize);
  expect((await stat(`${path}-wal`)).size).toBe(walBytes);
  expect((await stat(path)).size).toBe(fileBytes);
  await expect(liveImage(path)).resolves.toEqual(image);
  load.send("resume");
  await load.end("SIGTERM");
  // Closing checkpointed everything and deleted the WAL: now the file is the image.
  await expect(liveImage(path)).resolves.toHaveProperty("sha256", await sha256OfFile(path));
});

it("takes the image of a database with a rollback journal", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  const page = new Uint8Array(512);
  // The smallest database SQLite writes: one empty schema page of 512 bytes.
  page.set(new TextEncoder().encode("SQLite format 3\0"));
  page.set([2, 0, 1, 1, 0, 64, 32, 32], 16);
  page.set([0, 0, 0, 1], 28);
  page.set([13, 0, 0, 0, 0, 2, 0, 0], 100);
  await writeFile(path, page);
  const image = await liveImage(path);
  expect(image).toEqual({ sha256: await sha256OfFile(path), pageSize: 512, commit: 1 });
});

it("disturbs a writer with checkpoints and long readers without harming its ledger", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await using load = startLoad({ path, seed: 4, autocheckpoint: 0, synchronous: "OFF" });
  await load.line((line) => line.startsWith("committed"));
  await using checkpoints = startDisturber({ path, seed: 1, kind: "checkpoint", maxMs: 5 });
  await using reader = startDisturber({ path, seed: 2, kind: "read", maxMs: 20 });
  await checkpoints.line((line) => line.startsWith("TRUNCATE"));
  await reader.line((line) => line === 'read {"tables":4}');
  await checkpoints.end();
  await reader.end();
  await load.end("SIGTERM");
  expect(checkLedger(path).seq).toBeGreaterThan(0);
});
