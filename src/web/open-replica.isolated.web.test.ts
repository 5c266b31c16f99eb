// SQLite asleep in a thread of its own, in a page that is isolated.
import { describe, expect, it } from "vitest";
import { all, describeWebReplica } from "../../test/support/web-replica-suite.ts";
import { WebScene } from "../../test/support/web-scene.ts";
import { openReplica } from "./open-replica.ts";

describe("an isolated page", () => {
  describeWebReplica({ mode: "shared" });

  it.each(["auto", "worker"] as const)("is served in the mode %s, too", async (mode) => {
    const scene = await WebScene.make();
    await scene.put({ level: 9, min: 1, max: 2 });
    await scene.describe();
    await using db = await openReplica(scene.url, { mode });
    expect(await all(db, "SELECT count(*) AS n FROM t")).toEqual([{ n: 401 }]);
  });
});
