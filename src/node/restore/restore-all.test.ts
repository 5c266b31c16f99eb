import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { expect, it } from "vitest";
import type { FileSystem } from "../../core/base/file-system.ts";
import { sampleHistory } from "../../../test/support/replica-builder.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { type Environment, systemEnvironment } from "./environment.ts";
import { restoreAll } from "./restore-all.ts";

const history = sampleHistory();
const names = ["a", "b", "c"];

interface Place extends Disposable {
  readonly output: (name: string) => string;
  readonly written: () => readonly string[];
  readonly restore: (environment: Environment, signal: AbortSignal) => Promise<unknown>;
}

async function makePlace(): Promise<Place> {
  const directory = temporaryDirectory();
  mkdirSync(directory.file("output"));
  for (const name of names) await history.writeLevel0(directory.file(`replica/${name}`));
  const output = (name: string): string => directory.file(`output/${name}.db`);
  const requests = names.map((name) => ({
    replica: directory.url(`replica/${name}`),
    secrets: undefined,
    output: output(name),
  }));
  const options = {
    timestamp: new Date(8640000000000000),
    force: false,
    integrityCheck: "none",
    parallelism: 4,
    partial: false,
    skipEmpty: false,
  } as const;
  return {
    output,
    written: () => readdirSync(directory.file("output")).toSorted(),
    restore: (environment, signal) => restoreAll(environment, requests, { ...options, signal }),
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

/** The machine's own, but for what happens when a file is put in its place. */
function environmentWith(onRename: () => void): Environment {
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    rename: async (from, to) => {
      onRename();
      await nodeFileSystem.rename(from, to);
    },
  };
  return { ...systemEnvironment(), fileSystem };
}

it("puts all in place once it has begun to, also when it is interrupted", async () => {
  using place = await makePlace();
  const stop = new AbortController();
  await place.restore(
    environmentWith(() => stop.abort()),
    stop.signal,
  );
  expect(place.written()).toEqual(names.map((name) => `${name}.db`));
  for (const name of names) {
    expect(readFileSync(place.output(name))).toEqual(Buffer.from(history.databaseAt(10)));
  }
});

it("puts none in place if it is interrupted before", async () => {
  using place = await makePlace();
  const stop = new AbortController();
  const environment = environmentWith(() => undefined);
  const openReplica: Environment["openReplica"] = async (url, options) => {
    if (url.endsWith("/c")) stop.abort(new Error("interrupted"));
    return environment.openReplica(url, options);
  };
  const restoring = place.restore({ ...environment, openReplica }, stop.signal);
  await expect(restoring).rejects.toThrow("interrupted");
  expect(place.written()).toEqual([]);
});
