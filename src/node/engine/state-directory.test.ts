import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openStateDirectory, ownershipOf, stateDirectoryOf } from "./state-directory.ts";

const tools = { fileSystem: nodeFileSystem, random: systemRandom };

test("the state lies beside the real file, also when the path is a link", async () => {
  using directory = temporaryDirectory();
  mkdirSync(join(directory.path, "data"));
  writeFileSync(join(directory.path, "data", "app.db"), "");
  symlinkSync(join("data", "app.db"), join(directory.path, "link.db"));
  expect(stateDirectoryOf(join(directory.path, "link.db"))).toBe(
    join(directory.path, "data", ".app.db-headwater"),
  );
});

test("the node id stays the same, and files take the mode of the database", async () => {
  using directory = temporaryDirectory();
  const database = join(directory.path, "app.db");
  writeFileSync(database, "");
  chmodSync(database, 0o640);
  const options = { ...tools, path: stateDirectoryOf(database), ownership: ownershipOf(database) };
  const nodeIds: bigint[] = [];
  for (let i = 0; i < 2; i++) {
    await using state = await openStateDirectory(options);
    nodeIds.push(state.nodeId);
  }
  expect(nodeIds[0]).toBe(nodeIds[1]);
  expect(nodeIds[0]).not.toBe(0n);
  expect(statSync(options.path).mode & 0o777).toBe(0o750);
  expect(statSync(join(options.path, "state.json")).mode & 0o777).toBe(0o640);
});

test("a second engine is refused and told who holds the state", async () => {
  using directory = temporaryDirectory();
  const database = join(directory.path, "app.db");
  const options = { ...tools, path: stateDirectoryOf(database), ownership: ownershipOf(database) };
  await using first = await openStateDirectory(options);
  await expect(openStateDirectory(options)).rejects.toMatchObject({
    code: "engine/locked",
    data: { pid: process.pid },
  });
  expect(first.path).toBe(options.path);
});

test("a state of a newer format is refused, not misread", async () => {
  using directory = temporaryDirectory();
  const database = join(directory.path, "app.db");
  const options = { ...tools, path: stateDirectoryOf(database), ownership: ownershipOf(database) };
  await (await openStateDirectory(options))[Symbol.asyncDispose]();
  const file = join(options.path, "state.json");
  writeFileSync(file, readFileSync(file, "utf8").replace('"version": 1', '"version": 2'));
  await expect(openStateDirectory(options)).rejects.toMatchObject({ code: "engine/state" });
});
