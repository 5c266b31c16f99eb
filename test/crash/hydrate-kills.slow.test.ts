// Every call of a hydrator at which it can die.
import { describe, expect, it } from "vitest";
import { killHydrators } from "./hydrate-kills.ts";

describe("a process that dies at any call while it hydrates", () => {
  it("leaves nothing that a first copy could be mistaken for", async () => {
    const deaths = await killHydrators({ from: 0, targets: [2, 3], first: 1, step: 1 });
    expect(deaths).toBeGreaterThan(20);
  });

  it("leaves a whole copy to go on from", async () => {
    const deaths = await killHydrators({ from: 1, targets: [2, 3, 4], first: 1, step: 1 });
    expect(deaths).toBeGreaterThan(40);
  });
});
