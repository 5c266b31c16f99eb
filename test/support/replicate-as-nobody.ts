// Child of a test: imports everything, drops root, then replicates `argv[2]` to `argv[3]` once and prints the error code,
// or "ok". Root ignores file modes, so a test for missing permission needs another user.
import { HeadwaterError } from "../../src/core/base/errors.ts";
import { silentLogger } from "../../src/core/base/log.ts";
import { openCodec } from "../../src/core/codec/codec.ts";
import { resolveOptions } from "../../src/node/engine/engine-options.ts";
import { startEngine } from "../../src/node/engine/running-engine.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";

const nobody = 65_534;
const [, , path = "", replica = ""] = process.argv;
const { signal } = new AbortController();
openCodec();
// Loads what is imported only when a URL is opened.
await (await systemEnvironment().openReplica(replica, {}))[Symbol.asyncDispose]();
process.setgid?.(nobody);
process.setuid?.(nobody);
try {
  const options = resolveOptions({ path, replica });
  const engine = await startEngine(options, { logger: silentLogger, once: true }, { signal });
  await engine.stop({ signal });
  process.stdout.write("ok\n");
} catch (error) {
  if (!(error instanceof HeadwaterError)) throw error;
  process.stdout.write(`${error.code} ${error.message}\n`);
}
