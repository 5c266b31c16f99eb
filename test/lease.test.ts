// The lease in stores that need no server; on S3 in lease.service.test.ts.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createMemoryStore } from "../src/core/store/memory-store.ts";
import { systemClock, systemRandom } from "../src/node/base/clock.ts";
import { nodeFileSystem } from "../src/node/file/node-file-system.ts";
import { createFileStore } from "../src/node/store/file-store.ts";
import { leaseCases } from "./support/lease-cases.ts";
import { temporaryDirectory } from "./support/temporary.ts";
import type { TemporaryDirectory } from "./support/temporary.ts";

let directory: TemporaryDirectory;
beforeAll(() => {
  directory = temporaryDirectory();
});
afterAll(() => directory[Symbol.dispose]());

describe.each([
  ["in memory", () => createMemoryStore({ clock: systemClock })],
  [
    "of files",
    () =>
      createFileStore({
        root: directory.file(`replica-${performance.now()}`),
        fileSystem: nodeFileSystem,
        clock: systemClock,
        random: systemRandom,
      }),
  ],
])("a lease in a store %s", (_kind, openStore) => {
  test.for(leaseCases)("$name", async ({ run }) => {
    await expect(run(openStore)).resolves.toBeUndefined();
  });
});
