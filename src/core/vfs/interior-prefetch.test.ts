import { describe, expect, it } from "vitest";
import { silentLogger } from "../base/log.ts";
import { InteriorPrefetch } from "./interior-prefetch.ts";

interface Scene {
  readonly prefetch: InteriorPrefetch;
  readonly events: string[];
}

/** Over a view whose prefetch does as it is told. */
function openScene(work: (signal: AbortSignal | undefined) => Promise<void>): Scene {
  const events: string[] = [];
  const view = {
    prefetch: async ({ signal }: { readonly signal?: AbortSignal | undefined }) => {
      events.push("prefetch");
      await work(signal);
      throw new Error("away");
    },
    [Symbol.dispose]: () => void events.push("released"),
  };
  const logger = { ...silentLogger, log: (_: string, event: string) => void events.push(event) };
  return { prefetch: new InteriorPrefetch({ view, logger }), events };
}

describe("InteriorPrefetch", () => {
  it("runs once, from when it is started, and its failure is nobody's", async () => {
    const { prefetch, events } = openScene(() => Promise.resolve());
    prefetch.start();
    prefetch.start();
    await new Promise((resolve) => setImmediate(resolve));
    await prefetch[Symbol.asyncDispose]();
    expect(events).toEqual(["prefetch", "replica.prefetch-failed", "released"]);
  });

  it("ends when it is disposed, before it is started or after", async () => {
    const early = openScene(() => Promise.resolve());
    await early.prefetch[Symbol.asyncDispose]();
    expect(early.events).toEqual(["released"]);
    const late = openScene(
      (signal) => new Promise((resolve) => signal?.addEventListener("abort", () => resolve())),
    );
    late.prefetch.start();
    await late.prefetch[Symbol.asyncDispose]();
    expect(late.events).toEqual(["prefetch", "released"]);
  });
});
