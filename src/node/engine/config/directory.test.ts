import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { mistakesOf, readConfigText } from "../../../../test/support/config-file.ts";
import { temporaryDirectory } from "../../../../test/support/temporary.ts";
import { patternOf } from "./directory.ts";

const header = "SQLite format 3\0 and more";

function entry(directory: string, keys = ""): string {
  return `dbs:\n  - dir: ${directory}\n    pattern: "*.db"\n${keys}    replica: {path: /backups}\n`;
}

function fill(root: string, names: readonly string[], content = header): void {
  for (const name of names) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
}

describe("a directory of databases", () => {
  test("gives those whose name fits and which begin as SQLite's do, each with a path of its own", () => {
    using directory = temporaryDirectory();
    fill(directory.path, ["b.db", "a.db", "a.db-wal", "x.txt", "sub/c.db", "sub dir/d.db"]);
    fill(directory.path, [".a.db-headwater/lock.db", ".a.db-litestream/x.db"]);
    fill(directory.path, ["text.db", "empty.db"], "");
    const places = (keys: string): unknown =>
      readConfigText(entry(directory.path, keys)).databases.map(({ options }) => [
        options.path.slice(directory.path.length + 1),
        options.replica,
      ]);
    const flat = [
      ["a.db", "file:///backups/a.db"],
      ["b.db", "file:///backups/b.db"],
    ];
    expect(places("")).toEqual(flat);
    expect(places("    recursive: true\n")).toEqual([
      ...flat,
      ["sub dir/d.db", "file:///backups/sub%20dir/d.db"],
      ["sub/c.db", "file:///backups/sub/c.db"],
    ]);
  });

  test("puts the path before the parameters of a URL, and moves each state directory", () => {
    using directory = temporaryDirectory();
    fill(directory.path, ["sub/a.db"]);
    const keys = "    recursive: true\n    state-dir: /state\n    meta-dir: /meta\n";
    const file = entry(directory.path, keys).replace(
      "{path: /backups}",
      "{url: 's3://b/p/?region=r'}",
    );
    expect(readConfigText(file).databases[0]?.options).toMatchObject({
      replica: "s3://b/p/sub/a.db?region=r",
      stateDir: "/state/sub/.a.db-headwater",
      metaPath: "/meta/sub/a.db-litestream",
    });
  });

  test("knows the replica of a database that is gone", () => {
    using directory = temporaryDirectory();
    const config = readConfigText(entry(join(directory.path, "gone")));
    expect(config.emptyDirectories).toEqual([join(directory.path, "gone")]);
    expect(config.databaseAt(join(directory.path, "gone", "a.db"))?.options.replica).toBe(
      "file:///backups/a.db",
    );
    for (const other of ["gone/a.txt", "a.db", "gone/sub/a.db", "gone/.a.db-headwater/x.db"])
      expect(config.databaseAt(join(directory.path, other))).toBeUndefined();
  });

  test("finds one database twice if two names lead to it", () => {
    using directory = temporaryDirectory();
    fill(directory.path, ["a.db"]);
    symlinkSync("a.db", directory.file("b.db"));
    expect(mistakesOf(entry(directory.path))).toEqual([
      expect.stringMatching(
        /^2:5: dbs\[0\] is the database of .*b\.db, which dbs\[0\] has already/u,
      ),
    ]);
  });
});

test.for([
  ["*.db", ["a.db", ".db", ".a.db"], ["a.dbx", "a"]],
  ["a?.db", ["ab.db"], ["a.db", "abc.db"]],
  ["[a-c]x", ["ax", "cx"], ["dx", "[a-c]x"]],
  ["[^a-c]x", ["dx"], ["ax"]],
  [String.raw`\*.db`, ["*.db"], ["a.db"]],
  ["a+(b)$", ["a+(b)$"], ["aab"]],
] as const)("the pattern %s fits %j and not %j", ([glob, fitting, others]) => {
  const pattern = patternOf(glob);
  expect(fitting.filter((name) => pattern?.test(name) !== true)).toEqual([]);
  expect(others.filter((name) => pattern?.test(name) !== false)).toEqual([]);
});
