// Runs every program of examples/ against the build, as a user's program would: `import "headwater"` is the package. The one
// for browsers runs in Chromium, where there is one.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runBrowserExample } from "./run-browser-example.ts";

const folder = fileURLToPath(new URL("../examples/", import.meta.url));
for (const name of readdirSync(folder).filter((file) => file.endsWith(".ts"))) {
  console.log(`--- examples/${name}`);
  const { status } = spawnSync(process.execPath, [folder + name], {
    stdio: "inherit",
    timeout: 60_000,
  });
  if (status !== 0) {
    console.error(`examples/${name} failed`);
    process.exitCode = 1;
  }
}
console.log("--- examples/browser-replica");
await runBrowserExample(`${folder}browser-replica/serve.ts`);
