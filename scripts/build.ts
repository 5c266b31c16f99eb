// Builds dist/ from nothing: the compiler never deletes what a removed source left behind.
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
for (const folder of ["dist", ".build"])
  rmSync(`${root}${folder}`, { recursive: true, force: true });
const { status } = spawnSync("tsc", ["--build", "tsconfig.node.json", "tsconfig.web.json"], {
  cwd: root,
  stdio: "inherit",
});
if (status === 0) {
  // The compiler gives imports their new extension, but not the addresses of workers, which bundlers want to see as text.
  for (const name of readdirSync(`${root}dist/web`)) {
    if (!name.endsWith(".js")) continue;
    const path = `${root}dist/web/${name}`;
    const built = readFileSync(path, "utf8");
    writeFileSync(
      path,
      built.replaceAll(/(new URL\("\.\/[\w-]+)\.ts(", import\.meta\.url\))/gu, "$1.js$2"),
    );
  }
}
process.exitCode = status ?? 1;
