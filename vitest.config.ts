import { defineConfig } from "vitest/config";

/** Tests by what they need: nothing (node), real servers (service), long time (slow). */
const unitExcludes = ["**/*.service.test.ts", "**/*.slow.test.ts", "**/node_modules/**", "dist/**"];

export default defineConfig({
  test: {
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
      {
        test: {
          name: "slow",
          include: ["src/**/*.slow.test.ts", "test/**/*.slow.test.ts"],
          exclude: ["**/node_modules/**", "dist/**"],
          pool: "forks",
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
