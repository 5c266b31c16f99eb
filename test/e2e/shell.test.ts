// `headwater shell` fed from a pipe: what is typed, without the terminal's part of it.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GoldenSet, copyGolden } from "../support/golden.ts";
import { headwater } from "../support/headwater.ts";

let set: GoldenSet & Disposable;
beforeAll(() => {
  set = copyGolden("vacuum-4096");
});
afterAll(() => set[Symbol.dispose]());

async function shell(
  ...lines: readonly string[]
): Promise<{ code: number | null; out: readonly string[]; err: string }> {
  await using child = headwater(["shell", set.path]);
  for (const line of lines) child.send(line);
  child.closeInput();
  const { code } = await child.exited;
  return { code, out: child.lines, err: child.stderr };
}

describe("headwater shell", () => {
  it("runs statements over several lines, and one without its semicolon at the end", async () => {
    const { code, out } = await shell(".mode csv", "SELECT 1 AS a,", "2 AS b;", "SELECT 3 AS c");
    expect(out).toEqual(["a,b", "1,2", "c", "3"]);
    expect(code).toBe(0);
  });

  it("shows tables and what made them", async () => {
    const { out } = await shell(".tables", ".tables z%", ".schema T");
    expect(out).toEqual([
      "t",
      "CREATE TABLE t(id integer primary key, a int, b text, c blob);",
      "CREATE INDEX t_a on t(a);",
    ]);
  });

  it("moves to another moment and back", async () => {
    const sql = "SELECT page_count FROM pragma_page_count;";
    const [earlier, newest] = set.files.slice(-2);
    const time = new Date(newest?.timestampMs ?? 0).toISOString();
    const txid = String(earlier?.maxTxid).padStart(16, "0");
    const lines = [sql, `.txid ${txid}`, sql, ".at now", sql, `.at ${time}`, sql, ".txid"];
    const { out, err } = await shell(".mode csv", ...lines);
    expect(err).toBe("");
    const sizes = out.filter((line) => /^\d+$/u.test(line)).map(Number);
    const [before, after] = [earlier?.commit, newest?.commit];
    expect(sizes).toEqual([after, before, after, before]);
    expect(out.at(-1)).toMatch(new RegExp(`^TXID ${txid} of `, "u"));
  });

  it.each([
    [".tabels", "Did you mean .tables?"],
    [".constructor", "There is no command .constructor"],
    [".at", ".at needs a time"],
    [".at soon", '.at "soon" is no moment'],
    [".txid 12", "must be 16 hexadecimal digits"],
    ["SELECT * FROM nowhere;", "no such table: nowhere"],
    ["DROP TABLE t;", "is a replica, which is read-only"],
  ])("stops at a mistake in what is piped in: %s", async (line, message) => {
    const { code, out, err } = await shell(line, "SELECT 'never';");
    expect(err).toMatch(/^Error: /u);
    expect(err).toContain(message);
    expect({ code, out }).toEqual({ code: 1, out: [] });
  });

  it("ends at .quit", async () => {
    const { code, out } = await shell(".quit", "SELECT 'never';");
    expect({ code, out }).toEqual({ code: 0, out: [] });
  });
});
