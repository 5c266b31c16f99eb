// On which file system a path lies, from /proc/self/mountinfo (proc(5)): its kind decides whether SQLite's locks can be
// trusted, and its device number is the one in /proc/locks, which on some file systems is not the one `stat` gives.
import { readFile } from "node:fs/promises";

export interface Mount {
  /** As in /proc/mounts: `ext4`, `nfs4`, `fuse.sshfs`. */
  readonly kind: string;
  /** `major:minor`, decimal. */
  readonly device: string;
}

/** The mount that holds an absolute path without links; `undefined` where the system does not tell. */
export async function mountOf(path: string): Promise<Mount | undefined> {
  try {
    return findMount(await readFile("/proc/self/mountinfo", "utf8"), path);
  } catch {
    return undefined;
  }
}

/** The mount of `path` in the text of a mountinfo file: the longest mount point above it, the last of equals. */
export function findMount(mountinfo: string, path: string): Mount | undefined {
  let best: (Mount & { readonly point: string }) | undefined;
  for (const line of mountinfo.split("\n")) {
    const fields = line.split(" ");
    const separator = fields.indexOf("-", 6);
    const [device, point, kind] = [fields[2], fields[4], fields[separator + 1]];
    if (separator < 0 || device === undefined || point === undefined || kind === undefined)
      continue;
    const plain = unescape(point);
    const isAbove = plain === "/" || path === plain || path.startsWith(`${plain}/`);
    if (isAbove && plain.length >= (best?.point.length ?? 0)) best = { device, kind, point: plain };
  }
  return best && { device: best.device, kind: best.kind };
}

/** Blanks and backslashes are written in octal. */
function unescape(text: string): string {
  return text.replace(/\\(?<code>[0-7]{3})/gu, (_, code: string) =>
    String.fromCodePoint(Number.parseInt(code, 8)),
  );
}
