// Databases that come and go while `headwater replicate` runs: in watched directories, and by a configuration file that
// is read again.
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { platform } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Child } from "../support/children.ts";
import { headwater, rows, write } from "../support/headwater.ts";
import { removeDatabase } from "../support/scene.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import type { TemporaryDirectory } from "../support/temporary.ts";
import { until } from "../support/until.ts";

const table = "CREATE TABLE t(x); INSERT INTO t VALUES";

function event(child: Child, name: string, path: string, from = 0): Promise<string> {
  return child.line((line) => line.includes(` ${name} `) && line.includes(path), from);
}

/** A configuration that watches `apps`, and its daemon. */
function watching(directory: TemporaryDirectory, keys = ""): { config: string; apps: string } {
  const apps = directory.file("apps");
  const config = directory.file("headwater.yml");
  writeFileSync(
    config,
    `dbs:\n  - dir: ${apps}\n    pattern: "*.db"\n    watch: true\n${keys}    replica: {path: ${directory.file("replicas")}}\n`,
  );
  return { config, apps };
}

async function restored(
  directory: TemporaryDirectory,
  source: string,
  flags: readonly string[] = [],
): Promise<unknown[]> {
  const output = directory.file(`restored-${Math.random()}.db`);
  await using child = headwater(["restore", "-o", output, ...flags, directory.url(source)]);
  await child.success();
  return rows(output);
}

test("databases are taken in when they appear, also in new directories, and let go when they are deleted", async () => {
  using directory = temporaryDirectory();
  const { config, apps } = watching(directory, "    recursive: true\n");
  await using child = headwater(["replicate", "-config", config]);
  await event(child, "headwater.started", config);
  mkdirSync(join(apps, "eu", "north"), { recursive: true });
  const [one, two] = [join(apps, "one.db"), join(apps, "eu/north/two.db")];
  write(one, `${table}(1)`);
  write(two, `${table}(2)`);
  writeFileSync(join(apps, "empty.db"), "");
  await Promise.all([
    event(child, "database.replicating", one),
    event(child, "database.replicating", two),
  ]);
  write(two, "INSERT INTO t VALUES(22)");
  rmSync(join(apps, "eu"), { recursive: true });
  await event(child, "database.removed", two);
  write(join(apps, "empty.db"), `${table}(3)`);
  await event(child, "database.replicating", "empty.db");
  write(one, "INSERT INTO t VALUES(11)");
  expect((await child.end("SIGTERM")).code).toBe(0);
  expect(await restored(directory, "replicas/one.db")).toEqual([1, 11]);
  expect(await restored(directory, "replicas/empty.db")).toEqual([3]);
  expect((await restored(directory, "replicas/eu/north/two.db"))[0]).toBe(2);
  expect(child.lines.filter((line) => line.includes(" database.added "))).toHaveLength(3);
});

test("a new database at the path of a deleted one continues its history", async () => {
  using directory = temporaryDirectory();
  const { config, apps } = watching(directory);
  mkdirSync(apps);
  const path = join(apps, "app.db");
  write(path, `${table}(1)`);
  await using child = headwater(["replicate", "-config", config]);
  await event(child, "database.replicating", path);
  removeDatabase(path);
  await event(child, "database.removed", path);
  const from = child.lines.length;
  write(path, `${table}(2)`);
  await event(child, "database.replicating", path, from);
  expect((await child.end("SIGTERM")).code).toBe(0);
  expect(await restored(directory, "replicas/app.db")).toEqual([2]);
  expect(await restored(directory, "replicas/app.db", ["-txid", "0000000000000001"])).toEqual([1]);
});

test("a database that is moved over another while both are replicated is followed under its new name", async () => {
  using directory = temporaryDirectory();
  const { config, apps } = watching(directory);
  mkdirSync(apps);
  const [from, to] = [join(apps, "new.db"), join(apps, "app.db")];
  write(to, `${table}(1)`);
  write(from, `${table}(2)`);
  await using child = headwater(["replicate", "-config", config]);
  await Promise.all([
    event(child, "database.replicating", to),
    event(child, "database.replicating", from),
  ]);
  for (const suffix of ["-wal", "-shm"]) rmSync(`${to}${suffix}`, { force: true });
  for (const suffix of ["", "-wal", "-shm"]) renameSync(`${from}${suffix}`, `${to}${suffix}`);
  await Promise.all([event(child, "database.removed", from), event(child, "database.gone", to)]);
  await event(
    child,
    "database.replicating",
    to,
    child.lines.findIndex((line) => line.includes(" database.gone ")),
  );
  expect((await child.end("SIGTERM")).code).toBe(0);
  expect(await restored(directory, "replicas/app.db")).toEqual([2]);
});

test.runIf(platform() === "linux")(
  "looking through a directory leaves the locks of what is replicated alone",
  async () => {
    using directory = temporaryDirectory();
    const { config, apps } = watching(directory);
    mkdirSync(apps);
    const path = join(apps, "app.db");
    write(path, `${table}(1)`);
    await using child = headwater(["replicate", "-config", config]);
    await event(child, "database.replicating", path);
    const { ino } = statSync(`${path}-shm`);
    const locks = (): string[] =>
      readFileSync("/proc/locks", "utf8")
        .split("\n")
        .filter((line) => line.includes(` ${child.pid} `) && line.includes(`:${ino} `));
    expect(locks()).not.toEqual([]);
    write(join(apps, "other.db"), `${table}(2)`);
    await event(child, "database.replicating", "other.db");
    expect(locks()).not.toEqual([]);
    expect((await child.end("SIGTERM")).code).toBe(0);
  },
);

test("SIGHUP: databases are added, removed and changed; a file with mistakes changes nothing", async () => {
  using directory = temporaryDirectory();
  const config = directory.file("headwater.yml");
  const entry = (name: string, keys = ""): string =>
    `  - path: ${directory.file(`${name}.db`)}\n    replica: {path: ${directory.file(`replicas/${name}`)}${keys}}\n`;
  const configure = (text: string): void => writeFileSync(config, text);
  for (const name of ["a", "b", "c"]) write(directory.file(`${name}.db`), `${table}(1)`);
  configure(`dbs:\n${entry("a")}${entry("b")}`);
  await using child = headwater(["replicate", "-config", config]);
  await Promise.all([
    event(child, "database.replicating", "a.db"),
    event(child, "database.replicating", "b.db"),
  ]);
  write(directory.file("a.db"), "INSERT INTO t VALUES(2)");
  configure(`exec: "true"\ndbs:\n${entry("b", ", sync-interval: 5s")}${entry("c")}`);
  const from = child.lines.length;
  child.signal("SIGHUP");
  await Promise.all([
    event(child, "config.remark", "exec changed", from),
    event(child, "database.removed", "a.db", from),
    event(child, "database.replicating", "b.db", from),
    event(child, "database.replicating", "c.db", from),
  ]);
  // It is let go with a last upload, whose end nothing tells.
  await until(async () => (await restored(directory, "replicas/a")).length === 2);
  configure("dbs:\n  - pth: x\n");
  child.signal("SIGHUP");
  expect(await event(child, "config.not-reloaded", "")).toContain("dbs[0].pth");
  write(directory.file("c.db"), "INSERT INTO t VALUES(2)");
  expect((await child.end("SIGTERM")).code).toBe(0);
  expect(await restored(directory, "replicas/c")).toEqual([1, 2]);
});
