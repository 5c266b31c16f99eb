import { DatabaseSync } from "node:sqlite";
import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { checkLedger } from "./check-ledger.ts";
import { lastCommitted, loadResult, pauseLoad, startLoad, startPythonLoad } from "./load.ts";
import type { LoadOptions } from "./load.ts";
import { temporaryDirectory } from "./temporary.ts";

const writers = [
  ["node:sqlite", startLoad],
  ["Python", startPythonLoad],
] as const;

it.for(writers)("%s writes a ledger whose proof holds", async ([, start]) => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await using child = start({
    path,
    seed: 7,
    transactions: 400,
    synchronous: "OFF",
    pageSize: 1024,
  });
  const { seq, transactions, longestMs } = await loadResult(child);
  await child.success();
  expect({ seq, transactions, longest: longestMs.length }).toEqual({
    seq: 400,
    transactions: 400,
    longest: 5,
  });
  const head = checkLedger(path);
  expect(head.seq).toBe(400);
  expect(head.documentCount).toBeGreaterThan(50);
});

it.for(writers)(
  "%s goes on where another writer stopped, and keeps its WAL if told so",
  async ([, start]) => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    const options: LoadOptions = {
      path,
      seed: 1,
      transactions: 20,
      end: "exit",
      synchronous: "OFF",
    };
    await using first = startLoad(options);
    await first.success();
    expect(existsSync(`${path}-wal`)).toBe(true);
    await using second = start({ ...options, end: "close" });
    await second.success();
    expect(existsSync(`${path}-wal`)).toBe(false);
    expect(checkLedger(path).seq).toBe(40);
  },
);

it("writes at the rate it is given, pauses between transactions, and ends at SIGTERM", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await using child = startLoad({ path, seed: 3, commitsPerSecond: 200, reportMs: 0 });
  await child.line((line) => line === "committed 40");
  const paused = await pauseLoad(child);
  expect(paused).toBe(lastCommitted(child));
  child.send("resume");
  await child.line((line) => line === `committed ${paused + 1}`);
  await child.end("SIGTERM");
  const { seq, seconds, transactions } = await loadResult(child);
  expect(checkLedger(path).seq).toBe(seq);
  expect(transactions / seconds).toBeLessThan(260);
});

it("stays provable with rollbacks, spills, large transactions and reconnecting", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  const options: LoadOptions = {
    path,
    seed: 5,
    transactions: 500,
    rough: true,
    synchronous: "OFF",
  };
  await using one = startLoad(options);
  await one.line((line) => line === "ready");
  await using two = startLoad({ ...options, seed: 6 });
  await Promise.all([one.success(), two.success()]);
  expect(checkLedger(path).seq).toBe(1000);
});

const damages = [
  ["a missing transaction", "DELETE FROM ledger WHERE seq = 5", /transaction 5 is missing/u],
  [
    "an altered payload",
    "UPDATE ledger SET payload = 'x' WHERE seq = 5",
    /transaction 5 or one before/u,
  ],
  [
    "a lost document",
    "DELETE FROM documents WHERE id = (SELECT min(id) FROM documents)",
    /documents of/u,
  ],
] as const;

it.for(damages)("finds %s", async ([, sql, message]) => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await using child = startLoad({ path, seed: 2, transactions: 20, synchronous: "OFF" });
  await child.success();
  using db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
  expect(() => checkLedger(path)).toThrow(message);
});
