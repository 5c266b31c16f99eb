// Builds dist/ from nothing: the compiler never deletes what a removed source left behind.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
for (const folder of ["dist", ".build"])
  rmSync(`${root}${folder}`, { recursive: true, force: true });
const { status } = spawnSync("tsc", ["--build", "tsconfig.node.json"], {
  cwd: root,
  stdio: "inherit",
});
process.exitCode = status ?? 1;
