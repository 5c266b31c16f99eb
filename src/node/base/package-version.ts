// The version of this package.
import { readFile } from "node:fs/promises";

/** As `package.json` says. */
export async function packageVersion(): Promise<string> {
  const manifest = new URL("../../../package.json", import.meta.url);
  const parsed: unknown = JSON.parse(await readFile(manifest, "utf8"));
  if (typeof parsed === "object" && parsed !== null && "version" in parsed) {
    return String(parsed.version);
  }
  return "unknown";
}
