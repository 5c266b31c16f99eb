// The page that tests of the project "web-isolated" run in.
import { expect, it } from "vitest";
import { WebScene } from "./support/web-scene.ts";

it("is isolated, and reads replicas from another origin all the same", async () => {
  expect(crossOriginIsolated).toBe(true);
  expect(new SharedArrayBuffer(8).byteLength).toBe(8);
  const scene = await WebScene.make();
  expect((await scene.databaseAt(scene.txid)).length).toBeGreaterThan(4096);
});
