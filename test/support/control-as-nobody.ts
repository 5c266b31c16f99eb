// Asks on a control socket without any rights; prints what came of it. Everything is imported before the rights go.
import { setImmediate } from "node:timers/promises";
import { openControlClient } from "../../src/node/cli/control-client.ts";
import { messageOf } from "../../src/core/base/errors.ts";

const socket: string = JSON.parse(process.argv[2] ?? "");
const client = await openControlClient(
  { socket, timeout: "10" },
  {
    print: () => undefined,
    inform: () => undefined,
    isTerminal: false,
    environment: {},
    printed: () => Promise.resolve(true),
    exitWith: () => undefined,
  },
);
await setImmediate();
process.setgroups?.([]);
process.setgid?.(65_534);
process.setuid?.(65_534);
try {
  await client.ask({ method: "GET", path: "/info" });
  console.log("answered");
} catch (error) {
  console.log(messageOf(error));
}
