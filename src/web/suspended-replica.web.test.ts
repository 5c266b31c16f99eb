// SQLite in the page's own thread.
import loadWaSqlite from "@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs";
import { describe, expect, it } from "vitest";
import { describeWebReplica } from "../../test/support/web-replica-suite.ts";
import { openReplica } from "./open-replica.ts";

describe("a page that has SQLite in its own thread", () => {
  describeWebReplica({ mode: "jspi", waSqlite: loadWaSqlite });

  it("has to bring it, and is told how", async () => {
    const url = "https://host.invalid/app";
    await expect(openReplica(url, { mode: "jspi" })).rejects.toThrow("npm install @journeyapps");
    const other = { mode: "jspi", waSqlite: async () => ({}) } as const;
    await expect(openReplica(url, other)).rejects.toThrow("wa-sqlite-jspi.mjs");
  });
});
