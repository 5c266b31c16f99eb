// `headwater query` and `headwater shell` with -push, on a daemon that uploads once an hour: what they see beyond the last
// sync can only have come from the primary.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Daemon } from "../support/daemon.ts";
import type { CommandResult } from "../support/daemon.ts";
import { headwater } from "../support/headwater.ts";
import { addressOf, pushKeys } from "../support/push.ts";
import { Scene } from "../support/scene.ts";
import { until } from "../support/until.ts";

const token = "0123456789abcdef";
const keys = `${pushKeys.replace("push:\n", `push:\n  token: ${token}\n`)}sync-interval: 1h\n`;
const count = "SELECT count(*) AS n FROM ledger";

let scene: Scene;
let daemon: Daemon;
let address: string;
beforeAll(async () => {
  scene = await Scene.open({ transactions: 5 });
  daemon = await Daemon.of(scene, keys).ready();
  await daemon.ask("POST", "/sync", { path: scene.path, wait: true });
  address = `${await addressOf(daemon)}/databases/app`;
  // Nobody follows, so this waits for the next upload.
  await scene.app.ledger(2);
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await scene?.[Symbol.asyncDispose]();
});

async function query(
  args: readonly string[],
  env: Record<string, string> = { HEADWATER_PUSH_TOKEN: token },
): Promise<CommandResult & { readonly rows: unknown }> {
  await using child = headwater(["query", scene.replica, "--json", ...args, count], env);
  const { code } = await child.exited;
  const stdout = child.lines.join("\n");
  return { code, stdout, stderr: child.stderr, rows: stdout === "" ? [] : JSON.parse(stdout) };
}

describe("headwater query -push", () => {
  it.each([
    ["cannot be reached", "http://127.0.0.1:1/databases/app", token],
    ["answers 401", undefined, "wrong"],
    ["answers 404", "/nothing", token],
  ])("says that the primary %s, and reads the store", async (message, where, given) => {
    const push = where?.startsWith("/") === true ? address.replace("/app", where) : where;
    const env = { HEADWATER_PUSH_TOKEN: given };
    const { code, stderr, rows } = await query(["-push", push ?? address], env);
    expect({ code, rows }).toEqual({ code: 0, rows: [{ n: 5 }] });
    expect(stderr).toMatch(/^Warning: push\.failed .*The store is read instead/u);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain(given);
  });

  // After it the store has all of it: what was staged for a follower is uploaded when that leaves.
  it("sees what was committed before it was started, without an upload", async () => {
    expect(await query([])).toMatchObject({ code: 0, rows: [{ n: 5 }] });
    const pushed = await query(["-push", address]);
    expect(pushed).toMatchObject({ code: 0, rows: [{ n: 7 }], stderr: "" });
  });

  it.each([
    [["-at", "now"], "-push shows the newest state"],
    [["-txid", "0000000000000001"], "-push shows the newest state"],
  ])("is refused with %j", async (moment, message) => {
    const { code, stderr } = await query(["-push", address, ...moment]);
    expect(stderr).toContain(message);
    expect(code).toBe(1);
  });

  it("is refused with an address that is none", async () => {
    const { code, stderr } = await query(["-push", "app"]);
    expect(stderr).toContain("push must be the address of a database at its primary");
    expect(code).toBe(1);
  });
});

it("headwater shell -push sees commits as they happen, leaves them for a moment of the past, and comes back", async () => {
  await using child = headwater(["shell", scene.replica, "-push", address], {
    HEADWATER_PUSH_TOKEN: token,
  });
  let seen = 0;
  const answerTo = async (line: string): Promise<string> => {
    child.send(line);
    await until(() => child.lines.length > seen);
    return child.lines[seen++] ?? "";
  };
  const counted = async (): Promise<number> => {
    expect(await answerTo(`${count};`)).toBe("n");
    await until(() => child.lines.length > seen);
    return Number(child.lines[seen++]);
  };
  child.send(".mode csv");
  expect(await counted()).toBe(7);
  const txid = (await answerTo(".txid")).split(" ")[1] ?? "";
  await scene.app.ledger(1);
  await until(async () => (await counted()) === 8);
  child.send("BEGIN;");
  expect(await counted()).toBe(8);
  await scene.app.ledger(1);
  await answerTo(".refresh");
  expect(await counted()).toBe(8);
  child.send("COMMIT;");
  await until(async () => (await counted()) === 9);
  const first = "0000000000000001";
  expect(await answerTo(`.txid ${first}`)).toMatch(new RegExp(`^TXID ${first} `, "u"));
  expect(await counted()).toBeLessThan(8);
  expect(await answerTo(".at now")).not.toContain(`TXID ${txid} `);
  expect(await counted()).toBe(9);
  child.closeInput();
  expect((await child.exited).code).toBe(0);
  expect(child.stderr).toBe("");
});
