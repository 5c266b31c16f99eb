// A configuration file as a user meets it: bin/headwater.js in a process of its own.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Child } from "../support/children.ts";
import { headwater, rows, write } from "../support/headwater.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import type { TemporaryDirectory } from "../support/temporary.ts";

async function outcome(
  child: Child,
): Promise<{ code: number | null; stderr: string; stdout: string }> {
  const { code } = await child.exited;
  return { code, stderr: child.stderr, stdout: child.lines.join("\n") };
}

/** Entries for databases a.db, b.db ... of the directory, each with a replica of its name. */
function configFor(directory: TemporaryDirectory, names: readonly string[], keys = ""): string {
  const entries = names.map(
    (name) =>
      `  - path: ${directory.file(`${name}.db`)}\n    replica:\n      path: ${directory.file(`replicas/${name}`)}\n`,
  );
  const path = directory.file("headwater.yml");
  writeFileSync(path, `${keys}dbs:\n${entries.join("")}`);
  return path;
}

function replicating(child: Child, name: string, from = 0): Promise<string> {
  return child.line(
    (line) => line.includes(" database.replicating ") && line.includes(`/${name}.db `),
    from,
  );
}

async function restored(
  directory: TemporaryDirectory,
  config: string,
  name: string,
): Promise<unknown[]> {
  const output = directory.file(`restored-${Math.random()}.db`);
  const source = directory.file(`${name}.db`);
  await using child = headwater(["restore", "-config", config, "-o", output, source]);
  await child.success();
  return rows(output);
}

describe("headwater replicate with a configuration file", () => {
  test("runs all its databases, one of them broken, and uploads everything at SIGTERM", async () => {
    using directory = temporaryDirectory();
    write(directory.file("a.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    write(directory.file("b.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(10)");
    writeFileSync(directory.file("broken.db"), "this is not a database\n".repeat(100));
    const config = configFor(directory, ["a", "broken", "b"], "sync-interval: 1h\n");
    await using child = headwater(["replicate", "-config", config]);
    await Promise.all([
      replicating(child, "a"),
      replicating(child, "b"),
      child.line((line) => line.includes(" ERROR database.failed ") && line.includes("broken.db")),
    ]);
    write(directory.file("a.db"), "INSERT INTO t VALUES(2)");
    write(directory.file("b.db"), "INSERT INTO t VALUES(20)");
    expect((await child.end("SIGTERM")).code).toBe(1);
    expect(child.stderr).toMatch(
      /Not everything is in its replica\.\n +\S+broken\.db: .*not a SQLite/u,
    );
    expect(child.stderr).not.toContain("a.db:");
    expect(await restored(directory, config, "a")).toEqual([1, 2]);
    expect(await restored(directory, config, "b")).toEqual([10, 20]);
  });

  test("goes on with a database that has been mended", async () => {
    using directory = temporaryDirectory();
    writeFileSync(directory.file("a.db"), "this is not a database\n".repeat(100));
    const config = configFor(directory, ["a"]);
    await using child = headwater(["replicate"], { HEADWATER_CONFIG: config });
    await child.line((line) => line.includes(" ERROR database.failed "));
    rmSync(directory.file("a.db"));
    write(directory.file("a.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    await replicating(child, "a");
    expect((await child.end("SIGTERM")).code).toBe(0);
    expect(await restored(directory, config, "a")).toEqual([1]);
  });

  test("does not wait at its end for a database that is not there", async () => {
    using directory = temporaryDirectory();
    write(directory.file("a.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    const config = configFor(directory, ["missing", "a"], "shutdown-sync-timeout: 10m\n");
    await using child = headwater(["replicate", "-config", config]);
    await replicating(child, "a");
    await child.line((line) => line.includes(" database.waiting ") && line.includes("missing.db"));
    expect((await child.end("SIGTERM")).code).toBe(0);
    expect(await restored(directory, config, "a")).toEqual([1]);
  });

  test("leaves a database stopped on which a Litestream was started", async () => {
    using directory = temporaryDirectory();
    for (const name of ["a", "b"]) write(directory.file(`${name}.db`), "CREATE TABLE t(x)");
    const config = configFor(directory, ["a", "b"]);
    await using child = headwater(["replicate", "-config", config]);
    await Promise.all([replicating(child, "a"), replicating(child, "b")]);
    mkdirSync(directory.file(".a.db-litestream/ltx"), { recursive: true });
    write(directory.file("a.db"), "INSERT INTO t VALUES(1)");
    write(directory.file("b.db"), "INSERT INTO t VALUES(2)");
    const line = await child.line((text) => text.includes(" ERROR database.stopped "));
    expect(line).toMatch(/a\.db.*Litestream has started/u);
    expect((await child.end("SIGTERM")).code).toBe(1);
    expect(child.stderr).toMatch(/a\.db: A Litestream has started/u);
    expect(existsSync(directory.file(".a.db-litestream/ltx"))).toBe(true);
    expect(await restored(directory, config, "b")).toEqual([2]);
  });

  test("-once replicates what it can, and names each that failed", async () => {
    using directory = temporaryDirectory();
    write(directory.file("a.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    const config = configFor(directory, ["a", "missing", "gone"], "exec: 'false'\n");
    await using child = headwater(["replicate", "-once", "-config", config]);
    const { code, stderr } = await outcome(child);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Error: Not every database was replicated\.$/mu);
    expect(stderr).toMatch(/^ {2}\S+missing\.db: /mu);
    expect(stderr).toMatch(/^ {2}\S+gone\.db: /mu);
    expect(await restored(directory, config, "a")).toEqual([1]);
  });

  test("restores missing databases before the command starts, and ends with its code", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("a.db");
    write(path, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    const script = directory.file("app.mjs");
    writeFileSync(
      script,
      `import { DatabaseSync } from "node:sqlite"; new DatabaseSync(${JSON.stringify(path)}).exec("PRAGMA busy_timeout=10000; INSERT INTO t VALUES(2)"); process.exit(5);`,
    );
    const config = configFor(directory, ["a"], `exec: "'${process.execPath}' '${script}'"\n`);
    await headwater(["replicate", "-once", "-config", config]).success();
    for (const name of readdirSync(directory.path))
      if (name.includes("a.db")) rmSync(directory.file(name), { recursive: true });
    // The command writes at once, so what is here is not what the replica holds: another writer might be at work.
    const flags = ["-restore-if-db-not-exists", "-take-over"];
    await using child = headwater(["replicate", "-config", config, ...flags]);
    const { code, stderr } = await outcome(child);
    expect({ code, stderr }).toEqual({ code: 5, stderr: expect.any(String) });
    expect(await restored(directory, config, "a")).toEqual([1, 2]);
  });

  test("uploads what is there although the command has ended before replication has begun", async () => {
    using directory = temporaryDirectory();
    write(directory.file("a.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    // One that is never made keeps nobody waiting.
    const config = configFor(directory, ["a", "never"], 'exec: "true"\n');
    await using child = headwater(["replicate", "-config", config]);
    const { code, stderr } = await outcome(child);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(await restored(directory, config, "a")).toEqual([1]);
  });

  test("does not start the command when a database cannot be restored", async () => {
    using directory = temporaryDirectory();
    const config = configFor(directory, ["a"], `exec: "touch '${directory.file("started")}'"\n`);
    mkdirSync(directory.file("replicas/a/ltx/9"), { recursive: true });
    writeFileSync(
      directory.file("replicas/a/ltx/9/0000000000000001-0000000000000001.ltx"),
      "damaged",
    );
    await using child = headwater(["replicate", "-config", config, "-restore-if-db-not-exists"]);
    const { code, stderr } = await outcome(child);
    expect(stderr).toMatch(/The command was not started.*\n.*a\.db: /u);
    expect(code).toBe(1);
    expect(existsSync(directory.file("started"))).toBe(false);
  });

  test("logs as the file says, warns of keys without effect, and never shows a secret", async () => {
    using directory = temporaryDirectory();
    write(directory.file("a.db"), "CREATE TABLE t(x)");
    const keys =
      "verify-compaction: true\nlogging: {type: json, stderr: true}\naccess-key-id: AK\nsecret-access-key: $HUSH\n";
    const config = configFor(directory, ["a"], keys);
    await using child = headwater(["replicate", "-once", "-config", config], { HUSH: "hush-hush" });
    const { code, stderr, stdout } = await outcome(child);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    const events = stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events).toContainEqual(
      expect.objectContaining({
        level: "WARN",
        msg: "config.remark",
        message: expect.stringContaining(":1:1: verify-compaction has no effect."),
      }),
    );
    expect(stderr).not.toContain("hush-hush");
  });

  test("takes all databases of a directory", async () => {
    using directory = temporaryDirectory();
    mkdirSync(directory.file("tenants/sub"), { recursive: true });
    write(directory.file("tenants/one.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    write(directory.file("tenants/sub/two.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(2)");
    const config = directory.file("headwater.yml");
    const entry = (dir: string): string =>
      `dbs:\n  - dir: ${directory.file(dir)}\n    pattern: "*.db"\n    recursive: true\n    replica: {path: ${directory.file("replica")}}\n`;
    writeFileSync(config, entry("tenants"));
    await headwater(["replicate", "-once", "-config", config]).success();
    // The state directories that are there now hold no databases.
    const list = await headwater(["databases", "-config", config]).success();
    expect(list.map((line) => line.split(/ +/u)[0]?.replace(directory.path, ""))).toEqual([
      "path",
      "/tenants/one.db",
      "/tenants/sub/two.db",
    ]);
    rmSync(directory.file("tenants"), { recursive: true });
    await headwater(["restore", "-config", config, directory.file("tenants/sub/two.db")]).success();
    expect(rows(directory.file("tenants/sub/two.db"))).toEqual([2]);
    writeFileSync(config, entry("nothing"));
    await using empty = headwater(["replicate", "-config", config]);
    expect(await outcome(empty)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("there is no database in "),
    });
  });

  test("minds where a Litestream keeps its state", async () => {
    using directory = temporaryDirectory();
    write(directory.file("a.db"), "CREATE TABLE t(x)");
    mkdirSync(directory.file("meta/ltx/0"), { recursive: true });
    const config = directory.file("headwater.yml");
    const entry = `path: ${directory.file("a.db")}, meta-path: ${directory.file("meta")}`;
    writeFileSync(config, `dbs:\n  - {${entry}, replica: {path: ${directory.file("r")}}}\n`);
    const lines = await headwater(["replicate", "-once", "-config", config]).success();
    expect(lines.join("\n")).toContain("litestream.other-replica");
  });
});

describe("commands that read it", () => {
  test("list, show and restore its databases, by path", async () => {
    using directory = temporaryDirectory();
    write(directory.file("a.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    const config = directory.file("headwater.yml");
    const [a, b] = [directory.file("a.db"), directory.file("b.db")];
    writeFileSync(
      config,
      `dbs:\n  - path: ${a}\n    state-dir: ${directory.file("state")}\n    replica: {url: "${directory.url("r")}"}\n` +
        `  - path: ${b}\n    replica: {url: s3://bucket/b}\n`,
    );
    const env = { LITESTREAM_CONFIG: config };
    const replicateA = directory.file("a.yml");
    writeFileSync(replicateA, readFileSync(config, "utf8").split("\n").slice(0, 4).join("\n"));
    await headwater(["replicate", "-once", "-config", replicateA]).success();
    const json = async (...args: readonly string[]): Promise<unknown> =>
      JSON.parse((await headwater(args, env).success()).join("\n"));
    expect(await json("databases", "-json")).toEqual([
      { path: a, name: "a", replica: "file" },
      { path: b, name: "b", replica: "s3" },
    ]);
    const status = [
      { database: a, status: "ok", local_txid: "0000000000000002" },
      { database: b, status: "no database" },
    ];
    expect(await json("status", "-json")).toMatchObject(status);
    expect(await json("status", "-json", "-config", config, a)).toMatchObject(status.slice(0, 1));
    expect(await json("ltx", "-json", a)).toMatchObject([{ min_txid: "0000000000000002" }]);
    expect(await json("verify", "-json", a)).toMatchObject({ result: "proved" });
    const output = directory.file("out.db");
    expect(await json("restore", "-json", "-o", output, a)).toMatchObject({ replica: "file" });
    expect(rows(output)).toEqual([1]);
  });

  test("a mistake in a file that nobody named does not stand in the way of a restore", async () => {
    using directory = temporaryDirectory();
    write(directory.file("a.db"), "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    await headwater(["replicate", "-once", directory.file("a.db"), directory.url("r")]).success();
    const config = directory.file("headwater.yml");
    writeFileSync(config, "dbss: []\n");
    const output = directory.file("out.db");
    const args = ["restore", "-o", output, directory.file("a.db")];
    await using child = headwater(args, { HEADWATER_CONFIG: config });
    await child.success();
    expect(child.stderr).toMatch(
      /Warning: the configuration file is not used\.\n.*:1:1: dbss is not/u,
    );
    await using named = headwater([...args, "-force", "-config", config]);
    expect(await outcome(named)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("dbss"),
    });
  });

  test("wrong calls are refused", async () => {
    using directory = temporaryDirectory();
    const config = configFor(directory, ["a"]);
    const unknown = directory.file("unknown.yml");
    writeFileSync(unknown, `mystery: 1\n${readFileSync(config, "utf8")}`);
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["replicate", "-config", config, "-sync-interval", "1s"],
        /-sync-interval goes with one database.*the key sync-interval/u,
      ],
      [["replicate", "-config", directory.file("none.yml")], /none\.yml cannot be read/u],
      [["replicate", "-config", unknown], /unknown\.yml:1:1: mystery is not a key/u],
      [
        ["ltx", "-config", config, "file:///r"],
        /-config and the URL of a replica exclude each other/u,
      ],
      [["restore", "-config", config, directory.file("z.db")], /lists no database .*z\.db/u],
      [["status", "-config", config, directory.file("z.db")], /lists no database .*z\.db/u],
    ];
    const results = await Promise.all(cases.map(([args]) => outcome(headwater(args))));
    for (const [at, [, message]] of cases.entries()) {
      expect(results[at]?.stderr).toMatch(message);
      expect(results[at]?.code).toBe(1);
    }
    const env = { HEADWATER_CONFIG: unknown };
    expect((await headwater(["databases", "-lenient"], env).success()).length).toBe(2);
  });
});
