// `headwater replicate -once -enforce-retention` as a user meets it: one pass after the other on a database with a daily image.
import { readFileSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { manifestKey } from "../../src/core/replica/manifest.ts";
import { parseManifest } from "../../src/core/replica/parse-manifest.ts";
import { headwater, rows, write } from "../support/headwater.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { until } from "../support/until.ts";

/** A database, its replica, and passes with whatever the configuration file says then. */
class Passes implements Disposable {
  readonly #directory = temporaryDirectory();
  readonly path = this.#directory.file("a.db");
  readonly replica = this.#directory.file("replica");

  async once(keys: string, ...flags: readonly string[]): Promise<string> {
    const config = this.#directory.file("headwater.yml");
    const replica = `    replica:\n      path: ${this.replica}\n`;
    writeFileSync(
      config,
      `snapshot:\n  retention: 30h\n${keys}dbs:\n  - path: ${this.path}\n${replica}`,
    );
    await using child = headwater(["replicate", "-config", config, "-once", ...flags]);
    return (await child.success()).join("\n");
  }

  /** Makes everything so far look older by a day. */
  age(): void {
    const ltx = join(this.replica, "ltx");
    for (const entry of readdirSync(ltx, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = join(entry.parentPath, entry.name);
      const time = new Date(statSync(file).mtimeMs - 86_400_000);
      utimesSync(file, time, time);
    }
  }

  /** Three days with an image each, beside the first one. */
  async haveImages(keys: string): Promise<void> {
    write(this.path, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    for (const x of [2, 3, 4]) {
      await this.once(keys, "-force-snapshot");
      this.age();
      write(this.path, `INSERT INTO t VALUES(${x})`);
      // What is last in the replica is not what was put: this run looks through it.
      await this.once(keys);
    }
    expect(this.images).toHaveLength(4);
  }

  get images(): readonly string[] {
    return readdirSync(join(this.replica, "ltx", "9"));
  }

  /** The images that the manifest names. */
  get named(): readonly string[] {
    const { files } = parseManifest(readFileSync(join(this.replica, manifestKey)), "");
    return files.filter(({ level }) => level === 9).map(({ key }) => key.slice("ltx/9/".length));
  }

  async restored(): Promise<unknown[]> {
    const output = this.#directory.file("restored.db");
    await using child = headwater(["restore", "-o", output, `file://${this.replica}`]);
    await child.success();
    return rows(output);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

test("deletes by the policy of the file, and nothing where retention is off", async () => {
  using passes = new Passes();
  await passes.haveImages("");
  const off = await passes.once("retention:\n  enabled: false\n", "-enforce-retention");
  expect(off).toContain("retention.off");
  expect(passes.images).toHaveLength(4);
  const lines = await passes.once("", "-force-snapshot", "-enforce-retention");
  // The image of a day ago is young enough.
  expect(lines).toMatch(/retention\.enforced .*deleted=3/u);
  expect(passes.images).toHaveLength(2);
  expect(await passes.restored()).toEqual([1, 2, 3, 4]);
});

test("what the manifest has named is left out of it first, and deleted by a pass a grace period later", async () => {
  using passes = new Passes();
  const keys = "manifest: true\n";
  await passes.haveImages(keys);
  expect(passes.named).toHaveLength(4);
  const first = await passes.once(keys, "-force-snapshot", "-enforce-retention");
  expect(first).toMatch(/retention\.enforced .*deleted=0 .*heldByManifest=3/u);
  expect(passes.images).toHaveLength(5);
  expect(passes.named).toHaveLength(2);
  // Passes in between put a manifest that has not forgotten since when they are left out.
  const second = await passes.once(keys, "-enforce-retention");
  expect(second).toMatch(/retention\.enforced .*deleted=0 .*heldByManifest=3/u);
  write(passes.path, "INSERT INTO t VALUES(5)");
  await passes.once(keys);
  expect(passes.named).toHaveLength(2);
  await until(async () => {
    write(passes.path, "INSERT INTO t VALUES(6)");
    const last = await passes.once(`${keys}retention:\n  grace: 1s\n`, "-enforce-retention");
    return / deleted=3 /u.test(last);
  }, 60_000);
  expect(passes.images.toSorted()).toEqual(passes.named.toSorted());
  expect(passes.images).toHaveLength(2);
  expect((await passes.restored()).slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
});
