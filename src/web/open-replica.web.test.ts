// SQLite in the one worker of a page that is not isolated.
import { describe, expect, it } from "vitest";
import { describeWebReplica } from "../../test/support/web-replica-suite.ts";
import { openReplica } from "./open-replica.ts";

describe("a page that is not isolated", () => {
  describeWebReplica({ mode: "auto" });

  it("cannot share memory, and is told how it could", async () => {
    expect(crossOriginIsolated).toBe(false);
    await expect(openReplica("https://host.invalid/app", { mode: "shared" })).rejects.toThrow(
      "Cross-Origin-Opener-Policy",
    );
  });
});
