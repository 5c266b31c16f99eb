// The test of many databases that come and go while they are replicated, for any number of them.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { restore } from "../../src/node/restore/restore.ts";
import { startModule } from "./children.ts";
import { QuickFleet, never } from "./fleet.ts";
import { liveImage, sha256OfFile } from "./live-image.ts";
import type { RandomDatabasesOptions } from "./random-databases.ts";
import { temporaryDirectory } from "./temporary.ts";
import { until } from "./until.ts";

const application = fileURLToPath(new URL("random-databases.ts", import.meta.url));

export interface ManyDatabasesOptions {
  readonly count: number;
  readonly maxAwake: number;
  readonly steps: number;
}

/** Whatever an application does to so many databases in one directory, in the end each is what its replica holds. */
export async function testManyDatabases(options: ManyDatabasesOptions): Promise<void> {
  const { count, maxAwake, steps } = options;
  const seed = Math.floor(Math.random() * 1e9);
  using directory = temporaryDirectory();
  const paths = Array.from({ length: count }, (_, i) => directory.file(`${i}.db`));
  const replicaOf = (path: string): string =>
    directory.url(join("replicas", String(paths.indexOf(path))));
  await using quick = new QuickFleet({ maxAwake });
  for (const path of paths) quick.add({ path, replica: replicaOf(path) });
  const writing: RandomDatabasesOptions = { paths, steps, seed };
  await using app = startModule(application, writing);
  const there = JSON.parse((await app.success()).at(-1) ?? "[]") as string[];
  expect(there.length, `seed ${seed}`).toBeGreaterThan(0);
  await Promise.all(there.map(async (path) => quick.fleet.get(path)?.sync({ signal: never })));
  for (const path of there) {
    const output = `${path}-restored`;
    await restore({ replica: replicaOf(path), output });
    expect(await sha256OfFile(output), `${path}, seed ${seed}`).toBe(
      (await liveImage(path)).sha256,
    );
  }
  // Those that are there rest in the end, those that are gone are waited for, and none keeps anything open.
  const isPaused = (path: string): boolean => {
    const database = quick.fleet.get(path);
    const state = there.includes(path) ? "hibernated" : "waiting";
    return database?.engine === undefined && database?.status?.state === state;
  };
  await until(() => paths.every((path) => isPaused(path)), 120_000);
}
