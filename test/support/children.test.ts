import { expect, it } from "vitest";
import { Child } from "./children.ts";
import { temporaryDirectory } from "./temporary.ts";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";

const node = (script: string): Child => new Child(process.execPath, ["-e", script]);

it("waits for a line, answers on standard input and reports the exit", async () => {
  await using child = node(
    `console.log("ready"); process.stdin.on("data", (d) => { console.log("got " + d); process.exit(3); });`,
  );
  await child.line((line) => line === "ready");
  child.send("ping");
  await expect(child.line((line) => line.startsWith("got"))).resolves.toBe("got ping");
  await expect(child.exited).resolves.toEqual({ code: 3, signal: null });
});

it("fails with what the child printed on standard error when it ends without the line", async () => {
  await using child = node(`console.error("broken pipe dream"); process.exit(1)`);
  await expect(child.line(() => true)).rejects.toThrow("broken pipe dream");
  await expect(child.success()).rejects.toThrow("broken pipe dream");
});

it("says so when the program cannot be started", async () => {
  await using child = new Child("/no/such/program", []);
  await expect(child.success()).rejects.toThrow("ENOENT");
});

it("leaves no process behind", async () => {
  let pid: number;
  {
    await using child = node("setInterval(() => {}, 1000); console.log('up')");
    await child.line(() => true);
    pid = child.pid;
  }
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

it("removes a temporary directory with its contents", async () => {
  let path: string;
  {
    using directory = temporaryDirectory();
    path = directory.path;
    await writeFile(directory.file("a"), "x");
    expect(directory.url("a")).toBe(`file://${path}/a`);
  }
  expect(existsSync(path)).toBe(false);
});
