// The package as it is published, in a browser: as plain modules under an import map, and through a bundler; in pages that are
// isolated, and in such that are not; and under a content security policy that allows what the guide says.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { build } from "vite";
import { must } from "../src/core/base/assert.ts";
import { chromiumArguments, findChromium } from "./support/chromium.ts";
import { ReplicaServer } from "./support/replica-server.ts";
import { repositoryRoot } from "./support/repository.ts";
import { startSceneServer } from "./support/scene-server.ts";
import { type TemporaryDirectory, temporaryDirectory } from "./support/temporary.ts";

const executablePath = findChromium();

const program = `
import { openReplica } from "headwater/vfs";
try {
  const db = await openReplica(new URL(location.href).searchParams.get("replica"));
  const rows = await Array.fromAsync(db.query("SELECT count(*) AS n FROM t"));
  await db[Symbol.asyncDispose]();
  globalThis.result = { rows, isIsolated: crossOriginIsolated };
} catch (error) {
  globalThis.result = { error: String(error) };
}`;

const importMap = JSON.stringify({
  imports: {
    "headwater/vfs": "/headwater/vfs.js",
    "@sqlite.org/sqlite-wasm": "/sqlite-wasm/index.mjs",
  },
});

/** Where each kind of page lies, below the temporary directory. */
const kinds = { modules: "modules", bundle: "bundle" } as const;

const isolating = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

let directory: TemporaryDirectory;
let replicas: ReplicaServer;
let replica: string;
let browser: Browser;

beforeAll(async () => {
  directory = temporaryDirectory();
  await makePages(directory.path);
  replicas = await startSceneServer();
  const ask = async (name: string, asked: object): Promise<{ readonly id: string }> => {
    const body = JSON.stringify(asked);
    const response = await fetch(`${replicas.origin}/-/${name}`, { method: "POST", body });
    return (await response.json()) as { readonly id: string };
  };
  const { id } = await ask("make", {});
  await ask("put", { id, ranges: [{ level: 9, min: 1, max: 2 }] });
  await ask("describe", { id });
  replica = `${replicas.origin}/${id}`;
  browser = await chromium.launch({
    executablePath: must(executablePath, "chromium"),
    args: [...chromiumArguments],
  });
});
afterAll(async () => {
  await browser?.close();
  await replicas?.[Symbol.asyncDispose]();
  directory?.[Symbol.dispose]();
});

/** Builds the package from a copy of the sources, and two pages with it. */
async function makePages(path: string): Promise<void> {
  const packaged = join(path, "headwater");
  for (const name of ["src", "scripts", "package.json"]) {
    cpSync(join(repositoryRoot, name), join(packaged, name), { recursive: true });
  }
  for (const name of ["base", "core", "node", "web"]) {
    cpSync(join(repositoryRoot, `tsconfig.${name}.json`), join(packaged, `tsconfig.${name}.json`));
  }
  symlinkSync(join(repositoryRoot, "node_modules"), join(packaged, "node_modules"));
  const built = spawnSync(process.execPath, ["scripts/build.ts"], {
    cwd: packaged,
    env: { ...process.env, PATH: `${repositoryRoot}node_modules/.bin:${process.env["PATH"]}` },
    encoding: "utf8",
  });
  if (built.status !== 0) throw new Error(built.stdout + built.stderr);
  makeModules(join(path, kinds.modules), packaged);
  await makeBundle({ source: join(path, "app"), packaged, outDir: join(path, kinds.bundle) });
}

function makeModules(root: string, packaged: string): void {
  mkdirSync(root);
  cpSync(join(packaged, "dist"), join(root, "headwater"), { recursive: true });
  const sqlite = join(repositoryRoot, "node_modules/@sqlite.org/sqlite-wasm/dist");
  cpSync(sqlite, join(root, "sqlite-wasm"), { recursive: true });
  writeFileSync(join(root, "main.js"), program);
  const map = `<script type="importmap" nonce="map">${importMap}</script>`;
  writeFileSync(
    join(root, "index.html"),
    `<!doctype html>${map}<script type="module" src="/main.js"></script>`,
  );
}

interface BundleOptions {
  readonly source: string;
  readonly packaged: string;
  readonly outDir: string;
}

async function makeBundle({ source, packaged, outDir }: BundleOptions): Promise<void> {
  mkdirSync(join(source, "node_modules"), { recursive: true });
  symlinkSync(packaged, join(source, "node_modules/headwater"));
  writeFileSync(join(source, "main.js"), program);
  writeFileSync(
    join(source, "index.html"),
    '<!doctype html><script type="module" src="/main.js"></script>',
  );
  await build({
    root: source,
    logLevel: "error",
    configFile: false,
    build: { outDir, target: "esnext" },
  });
}

interface PageOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** A file that the server of the page does not have. */
  readonly missing?: string;
}

async function resultOf(root: string, { headers, missing }: PageOptions): Promise<unknown> {
  await using server = await ReplicaServer.start({ root, headers });
  if (missing !== undefined) server.behaviour = { refuse: { suffix: missing, status: 404 } };
  const page = await browser.newPage();
  try {
    await page.goto(`${server.origin}/index.html?replica=${encodeURIComponent(replica)}`);
    const result = (): Promise<unknown> =>
      page.evaluate(() => (globalThis as { readonly result?: unknown }).result);
    await expect.poll(result, { timeout: 60_000 }).toBeDefined();
    return await result();
  } finally {
    await page.close();
  }
}

describe.skipIf(executablePath === undefined)("the package in a browser", () => {
  it.each(
    Object.keys(kinds).flatMap((kind) => [true, false].map((isIsolated) => ({ kind, isIsolated }))),
  )("reads a replica: $kind, isolated $isIsolated", async ({ kind, isIsolated }) => {
    const result = await resultOf(directory.file(kind), { headers: isIsolated ? isolating : {} });
    expect(result).toEqual({ rows: [{ n: 401 }], isIsolated });
  });

  it.each([true, false])("keeps to a content security policy: isolated %s", async (isIsolated) => {
    const policy = [
      "default-src 'none'",
      "script-src 'self' 'nonce-map' 'wasm-unsafe-eval'",
      "worker-src 'self'",
      `connect-src 'self' blob: ${replicas.origin}`,
    ];
    const headers = {
      "Content-Security-Policy": policy.join("; "),
      ...(isIsolated && isolating),
    };
    const result = await resultOf(directory.file("modules"), { headers });
    expect(result).toEqual({ rows: [{ n: 401 }], isIsolated });
  });

  it.each(
    [
      { missing: "linked-worker.js", problem: /worker of the replica has ended: .*not be loaded/u },
      { missing: "sqlite-wasm/index.mjs", problem: /SQLite could not be loaded.*fetch/u },
      { missing: "sqlite3.wasm", problem: /SQLite could not be loaded.*browser\.md/u },
    ].flatMap((part) => [true, false].map((isIsolated) => ({ ...part, isIsolated }))),
  )(
    "says so if $missing cannot be loaded: isolated $isIsolated",
    async ({ missing, problem, isIsolated }) => {
      const headers = isIsolated ? isolating : {};
      const result = await resultOf(directory.file("modules"), { headers, missing });
      expect(String((result as { readonly error?: unknown }).error)).toMatch(problem);
    },
  );
});
