// Restoring the 131 MB reference database from a `file://` replica: `headwater restore`, with fsync and proof, against
// Litestream's own code (npm litestream-vfs) hydrating the same replica into a file. Both from the start of a process to
// a complete, closed file; in turn, so that both meet the same machine. Litestream's neither syncs nor proves.
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startModule } from "../test/support/children.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { compare } from "./support/compare.ts";
import { referenceDatabase } from "./support/databases.ts";
import { buildProduct, runHeadwater } from "./support/product.ts";
import { formatMs, formatRatio } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const officialChild = fileURLToPath(
  new URL("../test/support/official-vfs-child.ts", import.meta.url),
);

buildProduct();
using directory = temporaryDirectory();
const [replica, output] = [directory.url("replica"), directory.file("output.db")];
const flags = ["--once", "--state-dir", directory.file("state")];
await runHeadwater(["replicate", ...flags, referenceDatabase(), replica]);

const { ratio, oursMs, theirsMs } = await compare(
  {
    run: async () => {
      rmSync(output, { force: true });
      await runHeadwater(["restore", replica, "-o", output]);
    },
  },
  {
    run: async () => {
      const hydrated = directory.file("hydrated.db");
      for (const path of [hydrated, `${hydrated}.meta`]) rmSync(path, { force: true });
      const request = { kind: "hydrate", replica, output: hydrated };
      const env = { TMPDIR: directory.path, LITESTREAM_LOG_FILE: directory.file("log") };
      await using child = startModule(officialChild, request, { env });
      await child.success();
    },
  },
);
printTable([
  ["restore of 131 MB", "Headwater", "Litestream", "ratio", "target"],
  ["process start to closed file", formatMs(oursMs), formatMs(theirsMs), formatRatio(ratio), "4x"],
]);
