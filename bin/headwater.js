#!/usr/bin/env node
// The only hand-written JavaScript: syntax every old Node parses, so that an old Node gets a sentence
// instead of a SyntaxError. A checkout runs its sources, the published package its build.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  process.stderr.write(
    "Error: headwater needs Node.js 24 or later; this is " +
      process.version +
      ".\nInstall a newer Node.js, or run it in a checkout through npm (npm start, npx headwater).\n",
  );
  process.exitCode = 1;
} else {
  const source = new URL("../src/node/cli/main.ts", import.meta.url);
  const built = new URL("../dist/node/cli/main.js", import.meta.url);
  const entry = existsSync(fileURLToPath(source)) ? source : built;
  const { main } = await import(entry.href);
  process.exitCode = await main(process.argv.slice(2));
}
