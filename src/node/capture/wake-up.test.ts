import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CaptureFixture } from "../../../test/support/capture-fixture.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { systemClock } from "../base/clock.ts";
import type { Capture } from "./capture.ts";
import { startWakeUp } from "./wake-up.ts";

const never = 1_000_000;
const insert = "INSERT INTO item VALUES (randomblob(100))";

/** Counts what a check sees, and resolves when it has seen enough. */
class Seen {
  #waiting: (() => void) | undefined;
  count = 0;
  checks = 0;

  add(count: number): boolean {
    this.checks++;
    this.count += count;
    this.#waiting?.();
    return count > 0;
  }

  async atLeast(count: number): Promise<void> {
    while (this.count < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = resolve;
      await promise;
    }
  }
}

/** Counts what the capture takes whenever it is woken up, without the safety poll. */
function countTransactions(capture: Capture, seen: Seen): AsyncDisposable {
  return startWakeUp({
    path: capture.path,
    clock: systemClock,
    safetyPollMs: never,
    check: () => {
      const { transactions } = capture.capture();
      capture.takeBatch()?.release();
      return seen.add(transactions);
    },
  });
}

describe("the wake-up", () => {
  it.each(["NORMAL", "FULL"])(
    "sees every commit without the safety poll, synchronous=%s",
    async (synchronous) => {
      using fixture = new CaptureFixture();
      await using app = new SqliteProcess(fixture.path);
      await app.exec(`PRAGMA journal_mode=WAL; CREATE TABLE item (x)`);
      await app.exec(`PRAGMA synchronous=${synchronous}`);
      await using capture = await fixture.open();
      const seen = new Seen();
      await using _ = countTransactions(capture, seen);
      for (let i = 1; i <= 20; i++) {
        await app.exec(insert);
        await seen.atLeast(i);
      }
      // Two at once: their events may come as one.
      await app.exec(`${insert}; ${insert}`);
      await seen.atLeast(22);
      expect(seen.count).toBe(22);
    },
  );

  it("looks far less often than commits come when they come all the time, and still sees the last one", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE item (x)`);
    await using capture = await fixture.open();
    const seen = new Seen();
    await using _ = countTransactions(capture, seen);
    for (let round = 1; round <= 3; round++) {
      await app.exec(`${insert};`.repeat(2_000));
      await seen.atLeast(2_000 * round);
    }
    await app.exec(insert);
    await seen.atLeast(6_001);
    expect(seen.count).toBe(6_001);
    expect(seen.checks).toBeLessThan(2_000);
  });

  it("sees a database that appears, and another one in its place", async () => {
    using fixture = new CaptureFixture();
    const seen = new Seen();
    await using _ = startWakeUp({
      path: fixture.path,
      clock: systemClock,
      safetyPollMs: never,
      check: () => seen.add(1),
    });
    await using app = new SqliteProcess(fixture.path);
    await app.exec("CREATE TABLE item (x)");
    await seen.atLeast(1);
    await app.close();
    const { count } = seen;
    renameSync(fixture.path, `${fixture.path}.old`);
    await seen.atLeast(count + 1);
    await app.exec("CREATE TABLE item (x)");
    await seen.atLeast(count + 2);
    expect(seen.count).toBeGreaterThan(count);
  });

  it("watches a directory that is made later, or made again", async () => {
    using fixture = new CaptureFixture();
    const directory = join(fixture.directory, "later");
    const path = join(directory, "app.db");
    const seen = new Seen();
    await using _ = startWakeUp({
      path,
      clock: systemClock,
      safetyPollMs: 20,
      check: () => seen.add(1),
    });
    for (let round = 0; round < 2; round++) {
      mkdirSync(directory);
      await seen.atLeast(seen.count + 2);
      await using app = new SqliteProcess(path);
      await app.exec("CREATE TABLE item (x)");
      await seen.atLeast(seen.count + 1);
      await app.close();
      rmSync(directory, { recursive: true });
    }
    expect(seen.checks).toBeGreaterThan(4);
  });

  it("stops looking soon after an event, and does nothing for other files", async () => {
    using fixture = new CaptureFixture();
    const seen = new Seen();
    await using _ = startWakeUp({
      path: fixture.path,
      clock: systemClock,
      safetyPollMs: never,
      check: () => seen.add(0),
    });
    await using other = new SqliteProcess(join(fixture.directory, "other.db"));
    await other.exec("CREATE TABLE item (x)");
    expect(seen.checks).toBe(0);
  });

  it("waits for nothing when it is disposed or aborted", async () => {
    using fixture = new CaptureFixture();
    const controller = new AbortController();
    const wakeUp = startWakeUp({
      path: fixture.path,
      clock: systemClock,
      check: () => false,
      signal: controller.signal,
    });
    controller.abort();
    await wakeUp[Symbol.asyncDispose]();
    expect(controller.signal.aborted).toBe(true);
  });
});
