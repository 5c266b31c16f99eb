// Child of a test: drops root, then restores `argv[2]` to `argv[3]` and prints the error code, or "ok". Root ignores file
// modes, so a test for missing permission needs another user; everything is imported before, while it may be read.
import { HeadwaterError } from "../../src/core/base/errors.ts";
import { openCodec } from "../../src/core/codec/codec.ts";
import { restore } from "../../src/node/restore/restore.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";

const nobody = 65_534;
const [, , replica = "", output = ""] = process.argv;
openCodec();
// Loads what is imported only when a URL is opened.
await (await systemEnvironment().openReplica(replica, {}))[Symbol.asyncDispose]();
process.setgid?.(nobody);
process.setuid?.(nobody);
try {
  await restore({ replica, output });
  process.stdout.write("ok\n");
} catch (error) {
  if (!(error instanceof HeadwaterError)) throw error;
  process.stdout.write(`${error.code} ${error.message}\n`);
}
