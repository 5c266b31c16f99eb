// Waiting that a signal ends: items of a stream, one result, a slot.
import { expect, test, vi } from "vitest";
import { abortable, orAborted } from "./async.ts";
import { Semaphore } from "./semaphore.ts";

interface Source {
  readonly items: AsyncIterable<number>;
  isClosed: boolean;
}

/** Counts up, and hangs after `last`. */
function countTo(last: number): Source {
  const source = { isClosed: false, items: count() };
  async function* count(): AsyncGenerator<number, void, undefined> {
    try {
      for (let i = 1; i <= last; i++) yield i;
      await new Promise(() => undefined);
    } finally {
      source.isClosed = true;
    }
  }
  return source;
}

async function collect(items: AsyncIterable<number>, into: number[]): Promise<void> {
  for await (const item of items) into.push(item);
}

test("a stream that hangs is left when its signal says so, with the signal's reason", async () => {
  const controller = new AbortController();
  const reason = new Error("stopped");
  const found: number[] = [];
  const collecting = collect(abortable(countTo(3).items, { signal: controller.signal }), found);
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  controller.abort(reason);
  await expect(collecting).rejects.toBe(reason);
  expect(found).toEqual([1, 2, 3]);
});

test("leaving the loop closes the source, with and without a signal", async () => {
  for (const signal of [undefined, new AbortController().signal]) {
    const source = countTo(3);
    for await (const item of abortable(source.items, { signal })) if (item === 2) break;
    expect(source.isClosed).toBe(true);
  }
});

test("an error of the source comes out as it is", async () => {
  const failure = new Error("broken");
  async function* broken(): AsyncGenerator<number, void, undefined> {
    yield 1;
    throw failure;
  }
  const { signal } = new AbortController();
  await expect(collect(abortable(broken(), { signal }), [])).rejects.toBe(failure);
});

test("a result is waited for until the signal says otherwise", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  expect(await orAborted(Promise.resolve(1), { signal })).toBe(1);
  const reason = new Error("stopped");
  const waiting = orAborted(new Promise(() => undefined), { signal });
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});

test("slots are given in the order of asking, and none is lost when a waiter gives up", async () => {
  const slots = new Semaphore(1);
  const order: string[] = [];
  await slots.acquire({});
  const controller = new AbortController();
  const quitter = slots.acquire({ signal: controller.signal });
  const first = slots.run(async () => order.push("first"), {});
  const second = slots.run(async () => order.push("second"), {});
  controller.abort(new Error("stopped"));
  await expect(quitter).rejects.toThrow("stopped");
  slots.release();
  await Promise.all([first, second]);
  expect(order).toEqual(["first", "second"]);
  await slots.acquire({});
});

test("a failure is nobody's when the signal was aborted before it was waited for", async () => {
  const unhandled = vi.fn<() => void>();
  process.on("unhandledRejection", unhandled);
  const work = Promise.reject(new Error("failed"));
  await expect(orAborted(work, { signal: AbortSignal.abort("early") })).rejects.toBe("early");
  await new Promise(setImmediate);
  process.off("unhandledRejection", unhandled);
  expect(unhandled).not.toHaveBeenCalled();
});
