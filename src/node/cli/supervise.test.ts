import { expect, test } from "vitest";
import { splitWords, startCommand } from "./supervise.ts";

test.each([
  ["node server.js", ["node", "server.js"]],
  ["  sh  -c 'exit 3'  ", ["sh", "-c", "exit 3"]],
  [String.raw`a\ b "c \"d\"" ''`, ["a b", 'c "d"', ""]],
  [String.raw`'single \n stays'`, [String.raw`single \n stays`]],
  ["x\"y\"'z'", ["xyz"]],
  ["", []],
])("splits %j as a shell does", (line, words) => {
  expect(splitWords(line)).toEqual(words);
});

test("an open quote is an error", () => {
  expect(() => splitWords("sh -c 'exit")).toThrow(/open ' quote/u);
});

test("the exit code is the command's, or 128 and the signal", async () => {
  expect(await startCommand("sh -c 'exit 3'").exited).toBe(3);
  expect(await startCommand("sleep 60").stop("SIGTERM")).toBe(128 + 15);
});

test("a command that cannot be started says so", async () => {
  await expect(startCommand("headwater-no-such-program").exited).rejects.toMatchObject({
    code: "usage/invalid",
  });
});
