// A local copy in the browser's private files, where SQLite sleeps in a thread of its own.
import { describe } from "vitest";
import { describeHydration } from "../../test/support/web-hydration-suite.ts";

describe("a copy that one worker writes and SQLite's thread is given", () => {
  describeHydration({ mode: "shared" });
});
