import { expect, test } from "vitest";
import { createSeededRandom } from "./seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

function draw(seed: number): readonly unknown[] {
  const random = createSeededRandom(seed);
  return [random.float(), random.float(), ...random.bytes(5)];
}

test("sleepers wake in the order they are due, each at its time", async () => {
  const clock = new VirtualClock({ startMs: 1000 });
  const woken: string[] = [];
  const sleep = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms, {});
    woken.push(`${name} ${clock.nowMs()}`);
  };
  const all = Promise.all([
    sleep("late", 30),
    sleep("early", 10),
    sleep("twice", 5).then(() => sleep("again", 10)),
  ]);
  await clock.advance(20);
  expect(woken).toEqual(["twice 1005", "early 1010", "again 1015"]);
  expect(clock.nowMs()).toBe(1020);
  expect(clock.sleeperCount).toBe(1);
  await clock.advance(10);
  await all;
  expect(woken.at(-1)).toBe("late 1030");
});

test("a sleep ends with the reason of its signal", async () => {
  const clock = new VirtualClock();
  const controller = new AbortController();
  const sleeping = clock.sleep(10, { signal: controller.signal });
  const reason = new Error("stopped");
  controller.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
  expect(clock.sleeperCount).toBe(0);
  await expect(clock.sleep(1, { signal: controller.signal })).rejects.toBe(reason);
});

test("the same seed gives the same numbers, another seed others", () => {
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});
