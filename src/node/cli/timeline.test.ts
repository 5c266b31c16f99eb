// What `headwater timeline` prints, and that `restore` takes moments in words and says which point it chose.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Command } from "commander";
import { type GoldenSet, copyGolden } from "../../../test/support/golden.ts";
import { copyGenerations } from "../../../test/support/golden-generations.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import type { CliContext } from "./command.ts";
import { formatLocalTime } from "./output.ts";
import { restoreCommand } from "./restore.ts";
import { timelineCommand } from "./timeline.ts";

let set: GoldenSet & Disposable;
beforeAll(() => {
  set = copyGolden("daemon-levels-4096");
});
afterAll(() => set[Symbol.dispose]());

/** What the command prints to standard output. */
async function run(
  make: (context: CliContext) => Command,
  argv: readonly string[],
): Promise<string> {
  let printed = "";
  const context: CliContext = {
    print: (text) => (printed += text),
    inform: () => undefined,
    isTerminal: false,
    environment: {},
    printed: () => Promise.resolve(true),
    exitWith: () => undefined,
  };
  await make(context).parseAsync(argv, { from: "user" });
  return printed;
}

interface TimelineJson {
  readonly points: readonly {
    readonly txid: string;
    readonly timestamp: string;
    readonly size: number;
    readonly levels: readonly number[];
  }[];
  readonly gaps: readonly { readonly min_txid: string; readonly reason: string }[];
  readonly unreadable: readonly string[];
}

async function timelineJson(argv: readonly string[]): Promise<TimelineJson> {
  return JSON.parse(await run(timelineCommand, ["--json", ...argv])) as TimelineJson;
}

describe("headwater timeline", () => {
  it("lists exactly the points that can be restored, with header times, and what lies between", async () => {
    const { points, gaps, unreadable } = await timelineJson([set.path]);
    const restorable = set.restores.filter(({ sha256 }) => sha256 !== undefined);
    expect(points.map(({ txid }) => BigInt(`0x${txid}`))).toEqual(
      restorable.map(({ txid }) => txid),
    );
    const last = set.files.find(({ level, maxTxid }) => level === 0 && maxTxid === 197n);
    expect(points.at(-1)).toEqual({
      txid: "00000000000000c5",
      timestamp: new Date(last?.timestampMs ?? 0).toISOString(),
      size: (last?.commit ?? 0) * 4096,
      levels: [0],
    });
    expect(gaps[0]).toMatchObject({ min_txid: "0000000000000001", reason: "thinned" });
    expect(unreadable).toEqual([]);
  });

  it("prints a table in local time with the gaps in their places", async () => {
    const lines = (await run(timelineCommand, [set.path])).split("\n");
    expect(lines[0]).toMatch(/^txid +time +size +levels$/u);
    expect(lines[1]).toMatch(/^ {2}gap: 0000000000000001 to [0-9a-f]{16}, thinned by retention/u);
    const last = set.files.find(({ level, maxTxid }) => level === 0 && maxTxid === 197n);
    expect(lines.at(-3)).toContain(`00000000000000c5  ${formatLocalTime(last?.timestampMs ?? 0)}`);
    expect(lines.at(-2)).toMatch(/^39 restore points, \d+ gaps\./u);
  });

  it("shows only what lies between two moments", async () => {
    const all = await timelineJson([set.path]);
    const from = all.points[5]?.timestamp ?? "";
    const to = all.points[9]?.timestamp ?? "";
    const { points } = await timelineJson(["--from", from, "--to", to, set.path]);
    expect(points).toEqual(all.points.slice(5, 10));
    expect((await timelineJson(["--to", "20 years ago", set.path])).points).toEqual([]);
  });

  it("leaves out a file with a damaged header and names it", async () => {
    using damaged = copyGolden("many-4096");
    const victim = damaged.files.at(-1)?.path ?? "";
    writeFileSync(join(damaged.path, victim), new Uint8Array(500));
    const { points, unreadable } = await timelineJson([damaged.path]);
    expect(points).toHaveLength(61);
    expect(unreadable).toEqual([victim]);
    expect(await run(timelineCommand, [damaged.path])).toContain(`${victim} cannot be read`);
  });

  it("says that there is no backup where there is none", async () => {
    using directory = temporaryDirectory();
    await expect(run(timelineCommand, [directory.path])).rejects.toThrow("There is no backup at");
  });
});

describe("a Litestream 0.3 backup", () => {
  it("has a timeline of its own, under the LTX files' if both are there", async () => {
    using old = copyGenerations("daemon-v03");
    const text = await run(timelineCommand, [old.path]);
    expect(text).toMatch(
      /^generation +index +offset +time\n29dcb06471399316 {2}00000000 {2}snapshot/u,
    );
    expect(text).toContain("Litestream 0.3 backup: 94 restore points.\n");
    using both = copyGenerations("daemon-v03-then-v05");
    expect(await run(timelineCommand, [both.path])).toMatch(
      /^txid[\s\S]+13 restore points, 0 gaps[\s\S]+\ngeneration/u,
    );
    const json = await run(timelineCommand, [
      "--json",
      "--to",
      "2026-11-22T13:51:17.514Z",
      both.path,
    ]);
    expect(JSON.parse(json)).toMatchObject({
      points: [],
      generations: [
        {
          generation: "29dcb06471399316",
          index: "00000000",
          timestamp: "2026-11-22T13:51:17.514Z",
        },
      ],
    });
  });

  it("is restored by time, or by generation and index, and planned without restoring", async () => {
    using old = copyGenerations("daemon-v03");
    using directory = temporaryDirectory();
    const at = ["--at", "2026-11-22T13:51:41.325Z"];
    const timed = await run(restoreCommand, [old.path, "-o", directory.file("a.db"), ...at]);
    expect(timed).toMatch(/a\.db at generation 29dcb06471399316, index [0-9a-f]{8}: 32\.8 kB/u);
    expect(timed).toMatch(/This restore point is of [^;]+; the next is of 2026-/u);
    const point = ["--generation", "29DCB06471399316", "--index", "00000004"];
    const output = directory.file("b.db");
    const json = await run(restoreCommand, [old.path, "-o", output, ...point, "--json"]);
    expect(JSON.parse(json)).toMatchObject({
      db_path: output,
      generation: "29dcb06471399316",
      index: "00000004",
      proof: "unproved",
    });
    const plan = ["--dry-run", "-o", directory.file("c.db"), old.path, ...point];
    expect(await run(restoreCommand, plan)).toMatch(
      /generation +29dcb06471399316\nindex +00000004\n\nindex +file[^\n]+\n00000003 +00000003\.snapshot\.lz4/u,
    );
    const planned: unknown = JSON.parse(await run(restoreCommand, [...plan, "--json"]));
    expect(planned).toMatchObject({ generation: "29dcb06471399316", index: "00000004" });
    await expect(run(restoreCommand, [old.path, "--index", "00000004"])).rejects.toThrow("needs");
    for (const wrong of [
      ["--generation", "29dc"],
      ["--generation", "29dcb06471399316", "--index", "4"],
    ]) {
      await expect(run(restoreCommand, [old.path, ...wrong])).rejects.toThrow("hexadecimal digits");
    }
  });
});

describe("headwater restore to a time", () => {
  it("says which point it chose and what lies after it", async () => {
    using directory = temporaryDirectory();
    const { points } = await timelineJson([set.path]);
    const [chosen, next] = points.slice(20, 22);
    const moment = new Date(Date.parse(chosen?.timestamp ?? "") + 1).toISOString();
    for (const flag of ["--timestamp", "--at"]) {
      const output = join(directory.path, `${flag}.db`);
      const printed = await run(restoreCommand, [set.path, "-o", output, flag, moment, "--json"]);
      expect(JSON.parse(printed)).toMatchObject({
        txid: chosen?.txid,
        timestamp: chosen?.timestamp,
        next_txid: next?.txid,
        next_timestamp: next?.timestamp,
      });
    }
    const argv = [set.path, "-o", join(directory.path, "text.db"), "--at", moment];
    const text = await run(restoreCommand, argv);
    const [chosenMs, nextMs] = [chosen, next].map((point) => Date.parse(point?.timestamp ?? ""));
    expect(text).toContain(
      `This restore point is of ${formatLocalTime(chosenMs ?? 0)}; ` +
        `the next is TXID ${next?.txid} of ${formatLocalTime(nextMs ?? 0)}.\n`,
    );
    const plan = await run(restoreCommand, [...argv, "--dry-run"]);
    expect(plan).toContain(`the next is TXID ${next?.txid}`);
  });

  it("takes moments in words, and says that nothing is newer than the newest", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    const text = await run(restoreCommand, [set.path, "-o", output, "--at", "2100-01-01 00:00"]);
    expect(text).toContain("at TXID 00000000000000c5");
    expect(text).toContain("nothing newer is in the replica.\n");
    await expect(
      run(restoreCommand, [set.path, "-o", output, "--force", "--at", "20 years ago"]),
    ).rejects.toThrow("Nothing can be restored from before");
    await expect(
      run(restoreCommand, [set.path, "-o", output, "--at", "now", "--timestamp", "now"]),
    ).rejects.toThrow("Give one of -txid");
    await expect(run(restoreCommand, [set.path, "--at", "some day"])).rejects.toThrow(
      '"5 minutes ago"',
    );
  });
});
