// Child processes and workers are started from a file, and `tsc` does not rewrite such paths.
import { fileURLToPath } from "node:url";

/** Path of the module `name` beside the caller, with the caller's own extension: `.ts` in a checkout, `.js` in the package. */
export function siblingModule(callerUrl: string, name: string): string {
  const extension = callerUrl.endsWith(".ts") ? "ts" : "js";
  return fileURLToPath(new URL(`./${name}.${extension}`, callerUrl));
}
