// Attaches to a database as a user without rights and prints the code of the error. Root ignores file modes, so the
// process drops to nobody, after everything is imported.
import { silentLogger } from "../../src/core/base/log.ts";
import { systemClock } from "../../src/node/base/clock.ts";
import { openCapture } from "../../src/node/capture/capture.ts";

const [path = ""] = process.argv.slice(2);
const nobody = 65534;
if (process.getuid?.() === 0) {
  process.setgid?.(nobody);
  process.setuid?.(nobody);
}
try {
  await openCapture({ path, clock: systemClock, logger: silentLogger });
  console.log("attached");
} catch (error) {
  console.log(error instanceof Error && "code" in error ? error.code : error);
  console.log(error instanceof Error ? error.message : "");
}
