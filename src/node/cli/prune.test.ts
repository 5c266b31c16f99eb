// `headwater prune` as a user meets it.
import { utimesSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { Child } from "../../../test/support/children.ts";
import { replicaFiles } from "../../../test/support/history-check.ts";
import { ltxPath, sampleHistory } from "../../../test/support/replica-builder.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import type { TemporaryDirectory } from "../../../test/support/temporary.ts";
import { putManifest } from "../../../test/support/manifest.ts";
import { manifestKey } from "../../core/replica/manifest.ts";
import { restorableRanges } from "../../core/replica/plan.ts";
import { openReplicaStore } from "../restore/environment.ts";
import { restore } from "../restore/restore.ts";

const program = fileURLToPath(new URL("../../../bin/headwater.js", import.meta.url));
const history = sampleHistory();
const hourMs = 3_600_000;

async function prune(...args: readonly string[]): Promise<{ output: string; messages: string }> {
  await using child = new Child(process.execPath, [program, "prune", ...args]);
  await child.exited;
  return { output: child.lines.join("\n"), messages: child.stderr };
}

/** Ten TXIDs, one per hour, the newest an hour old; images of 3, 6 and 9; level 1 up to 9. */
async function oldReplica(directory: TemporaryDirectory): Promise<string> {
  const files = [
    ...Array.from({ length: 10 }, (_, n) => ({ level: 0, min: n + 1, max: n + 1 })),
    ...[1, 4, 7].map((min) => ({ level: 1, min, max: min + 2 })),
    ...[3, 6, 9].map((max) => ({ level: 9, min: 1, max })),
  ];
  const path = directory.file("replica");
  await history.writeFiles(path, files);
  for (const file of files) {
    const time = new Date(Date.now() - (11 - file.max) * hourMs);
    utimesSync(ltxPath(path, file), time, time);
  }
  return directory.url("replica");
}

async function names(url: string): Promise<readonly string[]> {
  const files = await replicaFiles(url);
  return files.map(({ level, minTxid, maxTxid }) => `${level}:${minTxid}-${maxTxid}`);
}

it("a dry run says what would go and what would be lost, and deletes nothing", async () => {
  using directory = temporaryDirectory();
  const url = await oldReplica(directory);
  const before = await names(url);
  const { output } = await prune(url, "-dry-run", "-snapshot-retention", "3h");
  expect(output).toContain("level 1 holds it");
  expect(output).toContain("older than full images are kept");
  expect(output).toContain("lost: 0000000000000001 to 0000000000000008");
  expect(output).toContain("12 files would go");
  expect(output).toContain("8 restore points would be lost; the newest stays.");
  expect(await names(url)).toEqual(before);
});

it("deletes exactly what the dry run names, and what is left restores", async () => {
  using directory = temporaryDirectory();
  const url = await oldReplica(directory);
  const args = [url, "-snapshot-retention", "3h", "-json"];
  const announced = JSON.parse((await prune(...args, "-dry-run")).output);
  const done = JSON.parse((await prune(...args)).output);
  expect(done).toEqual({ ...announced, dry_run: false });
  expect(await names(url)).toEqual(["0:10-10", "1:4-6", "1:7-9", "9:1-9"]);
  expect(restorableRanges(await replicaFiles(url))).toEqual([{ from: 9n, to: 10n }]);
  const result = await restore({ replica: url, output: directory.file("restored.db") });
  expect(result.txid).toBe(10n);
  expect(JSON.parse((await prune(...args)).output).deleted).toEqual([]);
});

it("deletes nothing when a file of level 1 is damaged where only reading it shows", async () => {
  using directory = temporaryDirectory();
  const url = await oldReplica(directory);
  const path = ltxPath(directory.file("replica"), { level: 1, min: 4, max: 6 });
  const bytes = await history.fileOf({ min: 4, max: 6 });
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const time = new Date(Date.now() - 5 * hourMs);
  utimesSync(path, time, time);
  const before = await names(url);
  const { messages } = await prune(url);
  expect(messages).toContain("0000000000000004-0000000000000006.ltx");
  expect(await names(url)).toEqual(before);
});

it("leaves to readers what a manifest names, and says so", async () => {
  using directory = temporaryDirectory();
  const url = await oldReplica(directory);
  const manifest = directory.file(`replica/${manifestKey}`);
  await using store = await openReplicaStore(url);
  await putManifest(store);
  const before = await names(url);
  const { output } = await prune(url, "-snapshot-retention", "3h");
  expect(output).toContain("0 files deleted");
  expect(output).toContain("11 more would go, but readers by manifest.json may still ask for them");
  const { kept } = JSON.parse((await prune(url, "-snapshot-retention", "3h", "-json")).output);
  expect(kept.filter(({ reason }: { reason: string }) => reason === "in-manifest")).toHaveLength(
    11,
  );
  expect(await names(url)).toEqual(before);
  // Its files are no longer named, but some may still read by the one before.
  writeFileSync(manifest, "");
  expect((await prune(url, "-snapshot-retention", "3h")).output).toContain("0 files deleted");
  const time = new Date(Date.now() - hourMs);
  utimesSync(manifest, time, time);
  expect((await prune(url, "-snapshot-retention", "3h")).output).toContain("12 files deleted");
});

it("keeps level 0 for ever with a retention of 0", async () => {
  using directory = temporaryDirectory();
  const url = await oldReplica(directory);
  await prune(url, "-l0-retention", "0", "-snapshot-retention", "3h");
  expect((await names(url)).filter((name) => name.startsWith("0:"))).toHaveLength(10);
});

it("deletes nothing when a file of level 1 is not what it should be", async () => {
  using directory = temporaryDirectory();
  const url = await oldReplica(directory);
  const path = ltxPath(directory.file("replica"), { level: 1, min: 4, max: 6 });
  writeFileSync(path, await history.fileOf({ min: 4, max: 5 }));
  const time = new Date(Date.now() - 5 * hourMs);
  utimesSync(path, time, time);
  const before = await names(url);
  const { messages } = await prune(url);
  expect(messages).toContain("Error: ");
  expect(messages).toContain("0000000000000004-0000000000000006");
  expect(await names(url)).toEqual(before);
});

it("says so where there is no replica, and what a duration is", async () => {
  using directory = temporaryDirectory();
  expect((await prune(directory.url("nothing"))).messages).toContain("There is no backup");
  expect((await prune(directory.url("nothing"), "-l0-retention", "soon")).messages).toContain(
    "-l0-retention must be a duration",
  );
});
