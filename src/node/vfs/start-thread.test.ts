import { afterEach, describe, expect, it } from "vitest";
import type { SqliteThread } from "../../core/vfs/sqlite-client.ts";
import { preloadSqlite } from "./preload-sqlite.ts";
import { hasSpareThread, startSqliteThread } from "./start-thread.ts";

/** Resolves when a thread has ended. */
async function ended(thread: SqliteThread): Promise<Error | undefined> {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  thread.listen({ onMessage: () => undefined, onEnd: resolve });
  return promise;
}

afterEach(async () => {
  while (hasSpareThread()) await startSqliteThread()[Symbol.asyncDispose]();
});

describe("SQLite's thread", () => {
  it("is kept for the next owner when it is released, one at a time", async () => {
    const first = startSqliteThread();
    const second = startSqliteThread();
    expect(hasSpareThread()).toBe(false);
    await first.release();
    expect(hasSpareThread()).toBe(true);
    await second.release();
    const third = startSqliteThread();
    expect(hasSpareThread()).toBe(false);
    // A handle that is given up has no say any more.
    await first[Symbol.asyncDispose]();
    await first.release();
    expect(hasSpareThread()).toBe(false);
    await third[Symbol.asyncDispose]();
    expect(hasSpareThread()).toBe(false);
  });

  it("is kept no longer than it lives, and tells its owner of its end", async () => {
    const broken = startSqliteThread();
    // No message that it knows.
    broken.post({
      kind: "request",
      request: { kind: "next", statement: 1 },
      news: { newest: 1, maps: [] },
    });
    expect(await ended(broken)).toBeInstanceOf(Error);
    await broken.release();
    expect(hasSpareThread()).toBe(false);
  });
});

describe("preloadSqlite", () => {
  it("leaves one thread ready, however often it is called", async () => {
    await Promise.all([preloadSqlite(), preloadSqlite()]);
    expect(hasSpareThread()).toBe(true);
    await preloadSqlite();
    await using thread = startSqliteThread();
    expect(hasSpareThread()).toBe(false);
    await preloadSqlite();
    expect(hasSpareThread()).toBe(true);
    await thread[Symbol.asyncDispose]();
  });
});
