// `headwater query` as a user meets it: bin/headwater.js in a process of its own.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must } from "../../src/core/base/assert.ts";
import { startModule } from "../support/children.ts";
import type { Child } from "../support/children.ts";
import { type GoldenSet, copyGolden } from "../support/golden.ts";
import { headwater } from "../support/headwater.ts";
import { temporaryDirectory } from "../support/temporary.ts";

let set: GoldenSet & Disposable;
beforeAll(() => {
  set = copyGolden("vacuum-4096");
});
afterAll(() => set[Symbol.dispose]());

async function outcome(child: Child): Promise<{ code: number | null; out: string; err: string }> {
  await using running = child;
  const { code } = await running.exited;
  return { code, out: running.lines.join("\n"), err: running.stderr };
}

function query(...args: readonly string[]): ReturnType<typeof outcome> {
  return outcome(headwater(["query", set.path, ...args]));
}

describe("headwater query", () => {
  it("prints a table, and a result for each statement", async () => {
    const { code, out, err } = await query("SELECT 1 AS one, 'x' AS text; SELECT 2 AS two");
    expect(out).toBe("one  text\n---  ----\n  1  x\n\ntwo\n---\n  2");
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  it("prints JSON and CSV", async () => {
    const json = await query("--json", "SELECT 1 AS a, NULL AS b");
    expect(JSON.parse(json.out)).toEqual([{ a: 1, b: null }]);
    const csv = await query("-format", "csv", "SELECT 'a,b' AS a, 2 AS b WHERE 1");
    expect(csv.out).toBe('a,b\n"a,b",2');
  });

  it("goes back to a TXID, and to a time by either name of the flag", async () => {
    const [earlier, newest] = [set.files.at(-2), set.files.at(-1)];
    const time = new Date(newest?.timestampMs ?? 0).toISOString();
    const txid = String(earlier?.maxTxid).padStart(16, "0");
    const sql = "PRAGMA page_count";
    const found = await Promise.all([
      query("--json", sql),
      query("--json", "--txid", txid, sql),
      query("--json", "-at", time, sql),
      query("--json", "--timestamp", time, sql),
    ]);
    const sizes = found.map(({ out }) => JSON.parse(out)[0].page_count);
    const { commit: before } = must(earlier, "file before the VACUUM");
    expect(sizes).toEqual([newest?.commit, before, before, before]);
    expect(before).toBeGreaterThan(newest?.commit ?? 0);
  });

  it.each([[[]], [["-"]]])("reads statements from standard input with %j", async (args) => {
    const child = headwater(["query", set.path, "--format=csv", ...args]);
    child.send("SELECT 7 AS n;");
    child.closeInput();
    expect((await outcome(child)).out).toBe("n\n7");
  });

  it.each([
    [["DELETE FROM t"], "is a replica, which is read-only"],
    [["SELECT * FROM nowhere"], "no such table: nowhere"],
    [["--at", "soon", "SELECT 1"], '-at "soon" is no moment'],
    [["--at", "now", "--timestamp", "now", "SELECT 1"], "Give one of -at"],
    [["--format", "xml", "SELECT 1"], "table, json, csv"],
    [["--txid", "00000000000000ff", "SELECT 1"], "is above the newest one"],
  ])("fails for %j and says why", async (args, message) => {
    const { code, out, err } = await query(...args);
    expect(err).toMatch(/^Error: /u);
    expect(err).toContain(message);
    expect({ code, out }).toEqual({ code: 1, out: "" });
  });

  it("fails at once for a replica that is empty", async () => {
    using directory = temporaryDirectory();
    const { code, err } = await outcome(headwater(["query", directory.path, "SELECT 1"]));
    expect(err).toContain("There is no backup here");
    expect(code).toBe(1);
  });

  it("stops when nobody reads what it prints any more", async () => {
    const endless = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    await using child = headwater(["query", set.path, "--format=csv", endless]);
    await child.line((line) => line === "1000");
    child.closeOutput();
    expect((await child.exited).signal).toBeNull();
  });

  it("ends an endless query at SIGINT", async () => {
    const endless = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    await using child = headwater(["query", set.path, `SELECT 1 AS n; ${endless}`]);
    await child.line((line) => line.trim() === "1");
    child.signal("SIGINT");
    expect((await child.exited).code).toBe(1);
    expect(child.stderr).toContain("interrupted by SIGINT");
  });
});

it("a program that forgets to close a replica ends all the same", async () => {
  const module = fileURLToPath(new URL("../support/unclosed-replica-child.ts", import.meta.url));
  const replica = `file://${set.path}`;
  const { code, out, err } = await outcome(startModule(module, { replica }));
  expect({ code, out, err }).toEqual({ code: 0, out: '{"n":200}\n{"i":1}', err: "" });
});
