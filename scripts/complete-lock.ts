// Completes package-lock.json with the platform packages that the registry in use does not serve.
// Without them `npm ci` refuses the lock file on every machine. Run after each `npm install`.
import { readFile, writeFile } from "node:fs/promises";

interface LockEntry {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  cpu?: string[];
  os?: string[];
  optionalDependencies?: Record<string, string>;
}

const systems = [
  "linux",
  "darwin",
  "win32",
  "freebsd",
  "openbsd",
  "android",
  "openharmony",
  "sunos",
  "aix",
];
const processors: Record<string, string> = {
  amd64: "x64",
  x64: "x64",
  x86_64: "x64",
  arm64: "arm64",
  aarch64: "arm64",
  arm: "arm",
  armv7: "arm",
  ia32: "ia32",
  riscv64: "riscv64",
  s390x: "s390x",
  ppc64: "ppc64",
  loong64: "loong64",
  mips64el: "mips64el",
};

const file = new URL("../package-lock.json", import.meta.url);
const lock: { packages: Record<string, LockEntry> } = JSON.parse(await readFile(file, "utf8"));
let added = 0;
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key] !== undefined) continue;
    const words = name.split(/[^a-z0-9_]+/u);
    const os = systems.filter((system) => words.includes(system));
    if (words.includes("windows")) os.push("win32");
    const cpu = Object.entries(processors)
      .filter(([word]) => words.includes(word))
      .map(([, to]) => to);
    lock.packages[key] = {
      version: version.replace(/^[^0-9]*/u, ""),
      ...(cpu.length > 0 ? { cpu: [...new Set(cpu)] } : {}),
      ...(entry.dev === true ? { dev: true } : {}),
      optional: true,
      ...(os.length > 0 ? { os } : {}),
    };
    added += 1;
  }
}
lock.packages = Object.fromEntries(
  Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)),
);
await writeFile(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`package-lock.json: ${added} platform packages added`);
