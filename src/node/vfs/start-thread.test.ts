import { describe, expect, it } from "vitest";
import { preloadSqlite, startSqliteThread } from "./start-thread.ts";

describe("preloadSqlite", () => {
  it("starts one thread, however often it is called, which the next replica gets and no other", async () => {
    await Promise.all([preloadSqlite(), preloadSqlite()]);
    await using first = startSqliteThread();
    await using second = startSqliteThread();
    expect(second).not.toBe(first);
    await preloadSqlite();
    await using third = startSqliteThread();
    expect([first, second]).not.toContain(third);
  });
});
