// Child of a test: imports everything, drops root, then runs `headwater doctor` with the arguments. Root ignores file modes,
// so a test for missing permission needs another user.
import { main } from "../../src/node/cli/main.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";

const nobody = 65_534;
// Loads what is imported only when it is used.
await import("../../src/node/cli/doctor.ts");
await (await systemEnvironment().openReplica("file:///nowhere", {}))[Symbol.asyncDispose]();
process.setgid?.(nobody);
process.setuid?.(nobody);
process.exitCode = await main(["doctor", ...process.argv.slice(2)]);
