// Some of the calls of a hydrator at which it can die; hydrate-kills.slow.test.ts has all of them.
import { describe, expect, it } from "vitest";
import { killHydrators } from "./hydrate-kills.ts";

describe("a process that dies while it hydrates", () => {
  it("leaves nothing that a first copy could be mistaken for", async () => {
    const deaths = await killHydrators({ from: 0, targets: [2], first: 3, step: 7 });
    expect(deaths).toBeGreaterThan(1);
  });

  it("leaves a whole copy to go on from", async () => {
    const deaths = await killHydrators({ from: 1, targets: [2, 3, 4], first: 2, step: 13 });
    expect(deaths).toBeGreaterThan(2);
  });
});
