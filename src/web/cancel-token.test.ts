// How a worker that stands still looks whether it is to stop. That blobs behave so is tested in browsers.
import { expect, it } from "vitest";
import { CancelWatch } from "./cancel-token.ts";

function openWatch() {
  const alive = new Set(["probe", "a", "b"]);
  const scene = { alive, looks: 0, nowMs: 0 };
  const watch = new CancelWatch(
    (address) => {
      scene.looks++;
      return alive.has(address);
    },
    () => scene.nowMs,
  );
  return { watch, scene };
}

it("sees a token that was taken back, within some time, and not for the next call", () => {
  const { watch, scene } = openWatch();
  watch.probe("probe");
  watch.watch("a");
  scene.alive.delete("a");
  expect(watch.isCancelled).toBe(false);
  scene.nowMs += 60;
  expect([watch.isCancelled, watch.isCancelled]).toEqual([true, true]);
  watch.watch("b");
  scene.nowMs += 60;
  expect(watch.isCancelled).toBe(false);
});

it("looks seldom, and never for a call without a token", () => {
  const { watch, scene } = openWatch();
  watch.probe("probe");
  watch.watch("a");
  for (; scene.nowMs < 1000; scene.nowMs++) expect(watch.isCancelled).toBe(false);
  expect(scene.looks).toBeLessThan(25);
  const { looks } = scene;
  watch.watch(undefined);
  for (; scene.nowMs < 2000; scene.nowMs++) expect(watch.isCancelled).toBe(false);
  expect(scene.looks).toBe(looks);
});

it("takes no token to be gone where it may not look", () => {
  const { watch, scene } = openWatch();
  scene.alive.clear();
  watch.probe("probe");
  watch.watch("a");
  scene.nowMs += 60;
  expect(watch.isCancelled).toBe(false);
});
