import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import type { TestProjectInlineConfiguration } from "vitest/config";
import { chromiumArguments, findChromium } from "./test/support/chromium.ts";

// Tests start hundreds of child processes from the sources; with a cache each is up three times as fast.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(
  new URL("node_modules/.cache/headwater-compile", import.meta.url),
);

/** Tests by what they need: nothing (node), real servers (service), a browser (web), long time (slow). */
const unitExcludes = [
  "**/*.service.test.ts",
  "**/*.slow.test.ts",
  "**/*.web.test.ts",
  "**/node_modules/**",
  "dist/**",
];

const chromium = findChromium();

/** A page that shares memory with its workers must be served so. */
const isolatingHeaders = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

function webProject(
  name: string,
  { isIsolated }: { readonly isIsolated: boolean },
): TestProjectInlineConfiguration {
  const tests = isIsolated ? "isolated.web" : "web";
  return {
    server: { headers: isIsolated ? isolatingHeaders : {} },
    // They look for their WebAssembly beside themselves, where a bundle has none.
    optimizeDeps: { exclude: ["@journeyapps/wa-sqlite", "@sqlite.org/sqlite-wasm"] },
    test: {
      name,
      include:
        chromium === undefined ? [] : [`src/**/*.${tests}.test.ts`, `test/**/*.${tests}.test.ts`],
      exclude: ["**/node_modules/**", ...(isIsolated ? [] : ["**/*.isolated.web.test.ts"])],
      globalSetup: ["test/setup/web.ts"],
      testTimeout: 120_000,
      hookTimeout: 60_000,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({
          launchOptions: {
            ...(chromium !== undefined && { executablePath: chromium }),
            args: [...chromiumArguments],
          },
        }),
        instances: [{ browser: "chromium" }],
      },
    },
  };
}

export default defineConfig({
  test: {
    // Most tests wait for children and disks, so no core is left for the runner itself.
    maxWorkers: Math.max(2, availableParallelism()),
    projects: [
      {
        test: {
          name: "node",
          include: ["src/**/*.test.ts", "test/**/*.test.ts"],
          exclude: unitExcludes,
          pool: "forks",
          // Generous, because nothing is asserted about time and the machine may be busy.
          testTimeout: 240_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "service",
          include: ["src/**/*.service.test.ts", "test/**/*.service.test.ts"],
          exclude: ["**/node_modules/**", "dist/**"],
          globalSetup: ["test/setup/services.ts"],
          pool: "forks",
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      webProject("web", { isIsolated: false }),
      webProject("web-isolated", { isIsolated: true }),
      {
        test: {
          name: "slow",
          include: ["src/**/*.slow.test.ts", "test/**/*.slow.test.ts"],
          exclude: ["**/node_modules/**", "dist/**"],
          pool: "forks",
          testTimeout: 1_200_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
