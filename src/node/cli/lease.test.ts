// `headwater lease` as a user meets it.
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { Child } from "../../../test/support/children.ts";
import { sampleHistory } from "../../../test/support/replica-builder.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import type { TemporaryDirectory } from "../../../test/support/temporary.ts";
import { encodeLease } from "../../core/replica/lease-object.ts";

const program = fileURLToPath(new URL("../../../bin/headwater.js", import.meta.url));

async function lease(...args: readonly string[]): Promise<string> {
  await using child = new Child(process.execPath, [program, "lease", ...args]);
  const { code } = await child.exited;
  if (code !== 0) throw new Error(child.stderr);
  return child.lines.join("\n");
}

const record = {
  nonce: "00ff",
  nodeId: 0x0123_4567_89ab_cdefn,
  owner: "db-1:42",
  acquiredAtMs: 1_700_000_000_000,
  renewedAtMs: 1_700_000_001_000,
  ttlMs: 30_000,
};

/** A replica whose writer has last been seen in 2023, by its lease. */
async function heldReplica(
  directory: TemporaryDirectory,
  bytes = encodeLease(record),
): Promise<string> {
  await sampleHistory().writeFiles(directory.file("replica"), [{ level: 9, min: 1, max: 1 }]);
  writeFileSync(directory.file("replica/lease.json"), bytes);
  return directory.url("replica");
}

it("shows who holds it, since when and when it was last seen", async () => {
  using directory = temporaryDirectory();
  const output = await lease(await heldReplica(directory));
  expect(output).toMatch(/^holder +db-1:42$/mu);
  expect(output).toMatch(/^node id +0123456789abcdef$/mu);
  expect(output).toMatch(/^since +2023-11-14T22:13:20.000Z$/mu);
  expect(output).toMatch(/^last seen +2023-11-14T22:13:21.000Z$/mu);
  expect(existsSync(directory.file("replica/lease.json"))).toBe(true);
});

it("prints the same as JSON, and takes a newer file for a sign of life", async () => {
  using directory = temporaryDirectory();
  const url = await heldReplica(directory);
  expect(JSON.parse(await lease(url, "-json"))).toEqual({
    replica: "file",
    held: true,
    broken: false,
    owner: "db-1:42",
    node_id: "0123456789abcdef",
    acquired_at: "2023-11-14T22:13:20.000Z",
    renewed_at: "2023-11-14T22:13:21.000Z",
    last_seen_at: "2023-11-14T22:13:21.000Z",
    expires_at: "2023-11-14T22:13:51.000Z",
    ttl_seconds: 30,
  });
  await sampleHistory().writeFiles(directory.file("replica"), [{ level: 0, min: 1, max: 1 }]);
  const { last_seen_at } = JSON.parse(await lease(url, "-json"));
  expect(Date.parse(last_seen_at)).toBeGreaterThan(record.renewedAtMs);
});

it("breaks it, says whose it was and what that means, and then nobody has it", async () => {
  using directory = temporaryDirectory();
  const url = await heldReplica(directory);
  const output = await lease(url, "-break");
  expect(output).toContain("db-1:42");
  expect(output).toContain("the next writer starts without waiting");
  expect(existsSync(directory.file("replica/lease.json"))).toBe(false);
  expect(await lease(url)).toBe(`Nobody holds the lease of ${url}.`);
  expect(JSON.parse(await lease(url, "-break", "-json"))).toEqual({
    replica: "file",
    held: false,
    broken: false,
  });
});

it("breaks one that it cannot read", async () => {
  using directory = temporaryDirectory();
  const url = await heldReplica(directory, new TextEncoder().encode("{}"));
  expect(await lease(url)).toMatch(/^holder +unknown/u);
  expect(JSON.parse(await lease(url, "-break", "-json"))).toMatchObject({ broken: true });
  expect(existsSync(directory.file("replica/lease.json"))).toBe(false);
});
