// What `headwater query` reads from standard input; the command itself has its tests in test/e2e.
import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { readStatements } from "./query.ts";

it("reads all of its input", async () => {
  const input = new PassThrough();
  input.write("SELECT 1;");
  input.end(" SELECT 'ä'");
  expect(await readStatements(input, new AbortController())).toBe("SELECT 1; SELECT 'ä'");
});

it("stops reading an input that does not end when it is told to, and lets go of it", async () => {
  const input = new PassThrough();
  const abort = new AbortController();
  const reading = readStatements(input, abort);
  reading.catch(() => undefined);
  const reason = new Error("interrupted");
  abort.abort(reason);
  await expect(reading).rejects.toBe(reason);
  expect(input.destroyed).toBe(true);
});
