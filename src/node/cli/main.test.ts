// The command line as a user meets it: bin/headwater.js in a process of its own.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mapConcurrent } from "../../core/base/async.ts";
import { type GoldenSet, copyGolden } from "../../../test/support/golden.ts";
import {
  ReplicaHistory,
  ltxPath,
  pageOf,
  sampleHistory,
  writeLtx,
} from "../../../test/support/replica-builder.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";

const program = fileURLToPath(new URL("../../../bin/headwater.js", import.meta.url));

interface Outcome {
  readonly exitCode: number | null;
  readonly output: string;
  readonly messages: string;
}

interface RunOptions {
  readonly cwd?: string;
  readonly whileRunning?: (kill: (signal: NodeJS.Signals) => void) => void;
}

async function headwater(
  argv: readonly string[],
  { cwd, whileRunning }: RunOptions = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [program, ...argv], {
    stdio: ["ignore", "pipe", "pipe"],
    ...(cwd === undefined ? {} : { cwd }),
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once("close", resolve);
  });
  whileRunning?.((signal) => child.kill(signal));
  const [exitCode, output, messages] = await Promise.all([
    ended,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { exitCode, output, messages };
}

let set: GoldenSet & Disposable;
let replica: string;
beforeAll(() => {
  set = copyGolden("daemon-levels-4096");
  replica = pathToFileURL(set.path).href;
});
afterAll(() => set[Symbol.dispose]());

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

describe("headwater", () => {
  it("prints its usage: on request with exit code 0, for nothing or a stray flag with 1", async () => {
    for (const argv of [["help"], ["-h"], ["--help"], ["-help"]]) {
      const { exitCode, output } = await headwater(argv);
      expect(exitCode).toBe(0);
      expect(output).toContain("restore");
    }
    for (const argv of [[], ["-bogus"]]) {
      const { exitCode, output, messages } = await headwater(argv);
      expect([exitCode, output]).toEqual([1, ""]);
      expect(messages).toContain("Usage: headwater COMMAND");
    }
  });

  it("prints the flags of a command for help in any form", async () => {
    for (const argv of [
      ["help", "restore"],
      ["restore", "-h"],
      ["restore", "x", "--help"],
    ]) {
      const { exitCode, output } = await headwater(argv);
      expect(exitCode).toBe(0);
      expect(output).toContain("--if-replica-exists");
    }
  });

  it("refuses unknown commands and flags with a hint", async () => {
    const unknown = await headwater(["replicat"]);
    expect(unknown).toMatchObject({ exitCode: 1, output: "" });
    expect(unknown.messages).toBe('Error: there is no command "replicat".\nTry: headwater help\n');
    const flag = await headwater(["ltx", "-bogus", replica]);
    expect(flag.messages).toBe("Error: unknown option '-bogus'\nTry: headwater help ltx\n");
    expect((await headwater(["restore"])).messages).toContain("missing required argument 'source'");
    expect((await headwater(["ltx", replica, "more"])).exitCode).toBe(1);
  });

  it("prints its version", async () => {
    expect((await headwater(["version"])).output).toMatch(/^\d+\.\d+\.\d+\n$/u);
    expect((await headwater(["--version"])).output).toMatch(/^\d+\.\d+\.\d+\n$/u);
    expect((await headwater(["version", "-verbose"])).output).toContain("sqlite");
  });
});

describe("headwater restore", () => {
  it("restores the newest state, with flags in one or two dashes and before or after the source", async () => {
    using directory = temporaryDirectory();
    const newest = set.restores.findLast((point) => point.sha256 !== undefined);
    const forms = [
      ["-o", "OUT", replica],
      [replica, "--o=OUT"],
      ["-output=OUT", set.path],
    ];
    for (const [n, form] of forms.entries()) {
      const output = join(directory.path, `${n}.db`);
      const argv = form.map((argument) => argument.replace("OUT", output));
      const { exitCode, output: printed } = await headwater(["restore", ...argv]);
      expect(exitCode).toBe(0);
      expect(printed).toContain(`Restored ${output} at TXID 00000000000000c5`);
      expect(sha256(output)).toBe(newest?.sha256);
    }
  });

  it("prints Litestream's JSON fields, then its own", async () => {
    using directory = temporaryDirectory();
    const argv = [
      "restore",
      "-json",
      "-txid",
      "0000000000000081",
      "-integrity-check=full",
      "-parallelism",
      "2",
    ];
    const { exitCode, output, messages } = await headwater([...argv, "-o", "app.db", replica], {
      cwd: directory.path,
    });
    expect([exitCode, messages]).toEqual([0, ""]);
    const { duration_ms: durationMs, ...fields } = JSON.parse(output);
    expect(durationMs).toBeGreaterThan(0);
    expect(JSON.stringify(fields)).toBe(
      JSON.stringify({
        db_path: join(directory.path, "app.db"),
        replica: "file",
        txid: "0000000000000081",
        integrity_check: "full",
        size: 126_976,
        files: 1,
        proof: "unproved",
      }),
    );
    expect(output.startsWith('{\n  "db_path"')).toBe(true);
  });

  it("restores to a time, and says what it can when it cannot", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    const times: readonly (readonly [string, string])[] = [
      ["2026-11-22T13:44:27.608Z", "at TXID 00000000000000a9"],
      ["2026-11-22T15:44:27.609+02:00", "at TXID 00000000000000aa"],
      ["2036-11-22T15:44:46Z", "at TXID 00000000000000c5"],
    ];
    for (const [time, expected] of times) {
      const argv = ["restore", "-force", "-timestamp", time, "-o", output, replica];
      expect((await headwater(argv)).output).toContain(expected);
    }
    const early = await headwater([
      "restore",
      "-force",
      "-timestamp",
      "2020-01-01T00:00:00Z",
      "-o",
      output,
      replica,
    ]);
    expect(early.exitCode).toBe(1);
    expect(early.messages).toContain("Error: Nothing can be restored from before 2020-01-01");
    const missing = await headwater([
      "restore",
      "-force",
      "-txid",
      "0000000000000005",
      "-o",
      output,
      replica,
    ]);
    expect(missing.messages).toContain("Restorable: 0000000000000081, 0000000000000089");
    const odd = await headwater(["restore", "-timestamp", "some day", "-o", output, replica]);
    expect(odd.messages).toContain("is no moment. Write 2026-11-26T14:30:00Z");
    expect(odd.messages).toContain("Try: headwater help restore");
  });

  it("shows the plan of a dry run and writes nothing", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    const plan = await headwater(["restore", "-dry-run", "-json", "-o", output, replica]);
    const parsed = JSON.parse(plan.output);
    expect(Object.keys(parsed)).toEqual([
      "source",
      "target_path",
      "replica",
      "min_txid",
      "max_txid",
      "files",
    ]);
    expect(parsed.files[0]).toEqual({
      level: 9,
      name: "0000000000000001-00000000000000ae.ltx",
      min_txid: "0000000000000001",
      max_txid: "00000000000000ae",
      size: 51_182,
      timestamp: "2026-11-22T13:44:30.003Z",
    });
    const shown = await headwater(["restore", "-dry-run", "-o", output, replica]);
    expect(shown.output).toContain("level  file");
    expect(readdirSync(directory.path)).toEqual([]);
  });

  it("knows when there is nothing to do", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    const empty = join(directory.path, "empty");
    mkdirSync(empty);
    const absent = await headwater(["restore", "-if-replica-exists", "-o", output, empty]);
    expect(absent.exitCode).toBe(0);
    expect(absent.messages).toContain("There is no backup");
    expect((await headwater(["restore", "-o", output, empty])).exitCode).toBe(1);
    writeFileSync(output, "");
    const present = await headwater(["restore", "-if-db-not-exists", "-o", output, replica]);
    expect(present.exitCode).toBe(0);
    expect(readFileSync(output, "utf8")).toBe("");
  });

  it("finds the replica of a database by its state directory, and restores in its place", async () => {
    using directory = temporaryDirectory();
    const database = join(directory.path, "app.db");
    const unknown = await headwater(["restore", database]);
    expect(unknown.messages).toContain(`No replica of ${database} is known`);
    const records = join(directory.path, ".app.db-headwater/replicas");
    mkdirSync(records, { recursive: true });
    writeFileSync(join(records, "a.json"), JSON.stringify({ url: replica }));
    expect((await headwater(["restore", `sqlite://${database}`])).exitCode).toBe(0);
    expect(existsSync(database)).toBe(true);
    expect((await headwater(["ltx", "-level", "9", database])).output.split("\n")).toHaveLength(4);
    writeFileSync(join(records, "b.json"), JSON.stringify({ url: "file:///elsewhere" }));
    expect((await headwater(["ltx", database])).messages).toContain("several replicas");
  });

  it("refuses a missing output, an existing one and odd values", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    writeFileSync(output, "something");
    const cases: readonly (readonly [readonly string[], string])[] = [
      [[replica], "Say where to restore to"],
      [["-o", output, replica], "exists already"],
      [["-o", output, "gopher://x/y"], "exists already"],
      [["-force", "-o", output, "gopher://x/y"], "is not a URL of a store"],
      [["-f", "-txid", "0000000000000001", "-o", output, replica], "-f follows the newest state"],
      [["-config", "x.yml", "-o", output, replica], "-config and the URL of a replica exclude"],
      [["-txid", "12", "-o", output, replica], "-txid must be 16 hexadecimal digits"],
      [["-parallelism", "0", "-o", output, replica], "-parallelism must be a whole number"],
      [
        ["-integrity-check", "some", "-o", output, replica],
        "-integrity-check must be one of none, quick, full",
      ],
      [["-dry-run=perhaps", "-o", output, replica], "-dry-run is a switch"],
    ];
    const outcomes = await mapConcurrent(cases, 4, ([argv]) => headwater(["restore", ...argv]));
    for (const [n, { exitCode, messages }] of outcomes.entries()) {
      expect(messages).toContain(cases[n]?.[1]);
      expect(exitCode).toBe(1);
    }
    expect(readFileSync(output, "utf8")).toBe("something");
  });
});

describe("headwater restore, interrupted", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  let source: string;
  beforeAll(async () => {
    directory = temporaryDirectory();
    source = join(directory.path, "replica");
    const pages = new Map(Array.from({ length: 2000 }, (_, n) => [n + 1, pageOf(65_536, n)]));
    const large = new ReplicaHistory(65_536, [{ commit: 2000, pages }]);
    const range = { level: 0, min: 1, max: 1 };
    writeLtx(source, range, await large.fileOf(range));
  });
  afterAll(() => directory[Symbol.dispose]());

  it.each(["SIGINT", "SIGTERM"] as const)("leaves nothing behind after %s", async (signal) => {
    const target = join(directory.path, signal);
    mkdirSync(target);
    const watcher = watch(target);
    const argv = ["restore", source, "-o", join(target, "app.db")];
    const { exitCode, messages } = await headwater(argv, {
      whileRunning: (kill) => watcher.once("change", () => kill(signal)),
    });
    watcher.close();
    expect(messages).toContain(`interrupted by ${signal}`);
    expect(exitCode).toBe(1);
    expect(readdirSync(target)).toEqual([]);
  });
});

describe("headwater ltx", () => {
  it("lists one level or all, as a table or as JSON", async () => {
    const table = await headwater(["ltx", "-level", "9", replica]);
    expect(table.output).toBe(
      "level  min_txid          max_txid          size   created\n" +
        "9      0000000000000001  0000000000000081  34385  2026-11-22T13:44:00.004Z\n" +
        "9      0000000000000001  00000000000000ae  51182  2026-11-22T13:44:30.003Z\n",
    );
    const all = JSON.parse((await headwater(["ltx", "-level=all", "-json", replica])).output);
    expect(all).toHaveLength(set.files.length);
    expect(all[0]).toEqual({
      level: 0,
      min_txid: "00000000000000a5",
      max_txid: "00000000000000a5",
      size: expect.any(Number),
      timestamp: expect.any(String),
    });
    expect((await headwater(["ltx", "-level", "10", replica])).exitCode).toBe(1);
  });

  it("answers to its old name with a warning", async () => {
    const { exitCode, messages } = await headwater(["wal", replica]);
    expect(exitCode).toBe(0);
    expect(messages).toBe("Warning: headwater wal is the old name of headwater ltx.\n");
  });
});

describe("headwater verify", () => {
  it("prints what it found and exits 1 if a file fails", async () => {
    using directory = temporaryDirectory();
    const history = sampleHistory();
    const ranges = Array.from({ length: 10 }, (_, n) => ({ level: 0, min: n + 1, max: n + 1 }));
    await history.writeFiles(directory.path, [...ranges, { level: 1, min: 1, max: 6 }]);
    const good = await headwater(["verify", directory.path]);
    expect(good.exitCode).toBe(0);
    expect(good.output).toContain("proved: every file is intact");
    const range = { level: 0, min: 6, max: 6 };
    writeLtx(
      directory.path,
      range,
      await history.fileOf(range, {}, new Map([[1, pageOf(4096, 9999)]])),
    );
    const bad = await headwater(["verify", "-json", directory.path]);
    expect(bad.exitCode).toBe(1);
    const parsed = JSON.parse(bad.output);
    expect(parsed.result).toBe("failed");
    expect(
      parsed.files.filter((file: { result: string }) => file.result === "failed"),
    ).toMatchObject([{ name: ltxPath("", range), pages: [1] }]);
  });
});
