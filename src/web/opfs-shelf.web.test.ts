// A local copy in the browser's private files, in the modes that a page can have without isolation.
import loadWaSqlite from "@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs";
import { describe } from "vitest";
import { describeHydration } from "../../test/support/web-hydration-suite.ts";

describe("a copy that a worker writes and reads", () => {
  describeHydration({ mode: "worker" });
});

describe("a copy that the page writes and reads", () => {
  describeHydration({ mode: "jspi", waSqlite: loadWaSqlite });
});
