// A fleet of one database in a process of its own, for tests that kill it right before a call to the file system. The
// argument is JSON: the options of the replication, and `killBefore`, which name and path of that call contain. Prints
// `event <name>` for everything that it logs.
import { createFaultyFileSystem } from "../../src/core/testing/faulty-file-system.ts";
import { systemClock, systemRandom } from "../../src/node/base/clock.ts";
import type { ReplicateOptions } from "../../src/node/engine/engine-options.ts";
import { Fleet } from "../../src/node/engine/fleet.ts";
import { nodeFileSystem } from "../../src/node/file/node-file-system.ts";
import { memberOf } from "./fleet.ts";

const { killBefore, ...options } = JSON.parse(process.argv[2] ?? "{}") as ReplicateOptions & {
  readonly killBefore: string;
};
const fleet = new Fleet({
  logger: { log: (_, event) => void process.stdout.write(`event ${event}\n`) },
  clock: systemClock,
  random: systemRandom,
  hibernateAfterMs: 300,
  sweepMs: 100,
  parts: {
    fileSystem: createFaultyFileSystem(nodeFileSystem, ({ name, path }) => {
      if (`${name} ${path}`.includes(killBefore)) process.kill(process.pid, "SIGKILL");
      return undefined;
    }),
  },
});
fleet.add(memberOf({ levels: [], retentionEnabled: false, ...options }));
