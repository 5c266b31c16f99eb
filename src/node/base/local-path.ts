// Paths as people write them.
import { homedir } from "node:os";
import { resolve } from "node:path";

/** `sqlite://` and `sqlite3://` prefixes are dropped, `~` is the home directory, the result is absolute. */
export function localPath(text: string): string {
  const path = text.replace(/^sqlite3?:\/\//u, "");
  return resolve(path === "~" || path.startsWith("~/") ? homedir() + path.slice(1) : path);
}
