// Debian's Chromium, for tests that run in a browser.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** What to start it with beside its defaults: CI is root, where its sandbox refuses to work. */
export const chromiumArguments: readonly string[] = ["--no-sandbox", "--disable-dev-shm-usage"];

/** Path of the executable. Says so if there is none; with HEADWATER_REQUIRE_ALL=1 that is an error. */
export function findChromium(): string | undefined {
  const found = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((directory) => join(directory, "chromium"))
    .find((path) => existsSync(path));
  if (found !== undefined) return found;
  const text =
    "Tests that need a browser are left out. chromium not found: apt-get install --no-install-recommends chromium";
  if (process.env["HEADWATER_REQUIRE_ALL"] === "1") throw new Error(text);
  console.warn(text);
  return undefined;
}
