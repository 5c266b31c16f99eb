// The first image of a 1 GB database into a `file://` replica (`headwater replicate --once`), and its restore
// (`headwater restore`, fsync and proof), each against a process that copies the same file and syncs the copy. In turn,
// the file in the page cache. Then looks that the replica holds one image and the local state none.
import { readdirSync, rmSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Child } from "../test/support/children.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { compare } from "./support/compare.ts";
import { largeDatabase } from "./support/databases.ts";
import { buildProduct, runHeadwater } from "./support/product.ts";
import { formatMs, formatRatio } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const rounds = 3;
const copyChild = fileURLToPath(new URL("support/copy-child.ts", import.meta.url));

buildProduct();
const database = largeDatabase();
using directory = temporaryDirectory();
const [replica, state, output] = ["replica", "state", "output.db"].map((name) =>
  directory.file(name),
);

function remove(...paths: readonly (string | undefined)[]): void {
  for (const path of paths) rmSync(path ?? "", { recursive: true, force: true });
}

const copy = {
  run: async () => {
    const to = directory.file("copy.db");
    remove(to);
    await using child = new Child(process.execPath, [copyChild, database, to]);
    await child.success();
  },
};

const image = await compare(
  {
    run: async () => {
      remove(replica, state);
      const flags = ["--once", "--state-dir", state ?? ""];
      await runHeadwater(["replicate", ...flags, database, `file://${replica}`]);
    },
  },
  copy,
  { rounds },
);
const restored = await compare(
  {
    run: async () => {
      remove(output);
      await runHeadwater(["restore", `file://${replica}`, "-o", output ?? ""]);
    },
  },
  copy,
  { rounds },
);

/** Files of at least a tenth of the database. */
function imagesIn(path = ""): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((file) =>
    file.isFile(),
  );
  return files.filter(({ parentPath, name }) => statSync(`${parentPath}/${name}`).size > 100e6)
    .length;
}

// Below 1 we are slower than a copy, by the inverse.
const times = (ratio: number): string => formatRatio(1 / ratio);
printTable([
  ["1 GB", "Headwater", "copy", "times as long", "target"],
  ["first image", formatMs(image.oursMs), formatMs(image.theirsMs), times(image.ratio), "2x"],
  [
    "restore",
    formatMs(restored.oursMs),
    formatMs(restored.theirsMs),
    times(restored.ratio),
    "1.5x",
  ],
]);
console.log(
  `\nImages in the replica: ${imagesIn(replica)} (target 1), in local state: ${imagesIn(state)} (target 0).`,
);
