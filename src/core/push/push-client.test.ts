// The client of a stream against bodies that are made by hand: what it asks for, when it gives up, when it comes again.
import { expect, it } from "vitest";
import { type ReplicaHistory, sampleHistory } from "../../../test/support/replica-builder.ts";
import { until } from "../../../test/support/until.ts";
import type { Waiting } from "../base/async.ts";
import { concatBytes } from "../base/bytes.ts";
import { silentLogger } from "../base/log.ts";
import { createSeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { PushClient, type PushFetch, type PushSink, type Taken } from "./push-client.ts";
import type { ChainPoint } from "../replica/chain-files.ts";
import type { ReceivedFile } from "./pushed-files.ts";
import { type StreamFrame, encodeFrame } from "./stream-frames.ts";

const history = sampleHistory();

const bytesOf = (frames: readonly StreamFrame[]): Uint8Array =>
  concatBytes(frames.flatMap((frame) => [...encodeFrame(frame)]));

function hello(headTxid: bigint, headChecksum = 0n): StreamFrame {
  return { kind: "hello", heartbeatMs: 1000, headTxid, headChecksum, durableTxid: headTxid };
}

async function fileFrame(txid: number, by: ReplicaHistory = history): Promise<StreamFrame> {
  return { kind: "file", bytes: await by.fileOf({ min: txid, max: txid }) };
}

/** What one connection gets: an answer, or nothing at all. `isOpen`: the body does not end. */
interface Answer {
  readonly status?: number;
  readonly frames?: readonly StreamFrame[];
  readonly cutBytes?: number;
  readonly isOpen?: boolean;
}

/** A follower at TXID 4 and a primary that answers by a script; after it nothing is there. */
class Stage implements PushSink, AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly asked: string[] = [];
  readonly taken: bigint[] = [];
  readonly durable: bigint[] = [];
  readonly live: boolean[] = [];
  left = 0;
  answer: Taken = "taken";
  position: ChainPoint = { txid: 4n, checksum: (1n << 63n) | 2n };
  readonly #client: PushClient;

  constructor(script: readonly Answer[], url = "http://primary:9090/databases/app") {
    const fetch: PushFetch = async (address, { headers }) => {
      this.asked.push(`${address} ${headers["authorization"] ?? ""}`.trim());
      const next = script[this.asked.length - 1];
      if (next === undefined) throw new TypeError("fetch failed");
      const { status = 200, frames = [], cutBytes = 0, isOpen = false } = next;
      const whole = bytesOf(frames);
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(whole.subarray(0, whole.length - cutBytes));
          if (!isOpen) controller.close();
        },
      });
      return new Response(body, { status });
    };
    this.#client = new PushClient({
      url,
      token: "secret",
      fetch,
      sink: this,
      codec: history.codec,
      clock: this.clock,
      random: createSeededRandom(1),
      logger: silentLogger,
    });
  }

  take({ header }: ReceivedFile): Taken {
    if (this.answer !== "taken") return this.answer;
    this.taken.push(header.maxTxid);
    this.position = { txid: header.maxTxid, checksum: header.proof?.after ?? 0n };
    return "taken";
  }

  noteDurable(txid: bigint): void {
    this.durable.push(txid);
  }

  noteLive(isLive: boolean): void {
    this.live.push(isLive);
  }

  leave(): void {
    this.left++;
  }

  /** Lets time pass until so many connections were asked for. */
  async untilAsked(count: number): Promise<void> {
    await until(async () => {
      await this.clock.advance(500);
      return this.asked.length >= count;
    });
  }

  caughtUp(waiting: Waiting = {}): Promise<boolean> {
    return this.#client.caughtUp(waiting);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client[Symbol.asyncDispose]();
  }
}

it("asks for what comes after the follower's TXID, and again from where it is when it is cut off", async () => {
  const frames = [hello(6n), await fileFrame(5), await fileFrame(6)];
  const script = [
    { frames, cutBytes: 10 },
    { frames: [hello(6n), await fileFrame(6)], isOpen: true },
  ];
  await using stage = new Stage(script);
  await stage.untilAsked(2);
  await until(() => stage.taken.length === 2);
  expect(stage.taken).toEqual([5n, 6n]);
  const address = "http://primary:9090/databases/app/stream?after=000000000000000";
  expect(stage.asked).toEqual([`${address}4 Bearer secret`, `${address}5 Bearer secret`]);
  expect(stage.live).toEqual([true, false, true]);
  expect(stage.durable).toEqual([6n, 6n]);
});

it("says when the follower has what the primary had at the start, and again after each connection", async () => {
  const script = [
    { frames: [hello(6n), await fileFrame(5), await fileFrame(6)] },
    { frames: [hello(7n), await fileFrame(7)], isOpen: true },
  ];
  await using stage = new Stage(script);
  expect(await stage.caughtUp()).toBe(true);
  expect(stage.taken).toEqual([5n, 6n]);
  await until(() => stage.live.length === 2);
  expect(await stage.caughtUp()).toBe(false);
  await stage.untilAsked(2);
  await until(() => stage.caughtUp());
  expect(stage.taken).toEqual([5n, 6n, 7n]);
});

it("does not say so of a head that it cannot reach: the primary is away, of another history, or sends to the store", async () => {
  const reset: StreamFrame = { kind: "reset", headTxid: 9n, durableTxid: 9n };
  const scripts: readonly (readonly Answer[])[] = [
    [],
    [{ status: 503 }],
    [{ frames: [hello(6n)] }],
    [{ frames: [hello(2n)], isOpen: true }],
    [{ frames: [hello(6n), { kind: "end" }] }],
  ];
  for (const script of scripts) {
    await using stage = new Stage(script);
    expect(await stage.caughtUp()).toBe(false);
  }
  await using behind = new Stage([0, 1, 2].map(() => ({ frames: [hello(9n), reset] })));
  const answer = behind.caughtUp();
  await behind.untilAsked(3);
  expect(await answer).toBe(false);
});

it("whoever waits for the head can give up, and does not outlast the client", async () => {
  const silent = new Stage([{ frames: [hello(6n)], isOpen: true }]);
  const giveUp = new AbortController();
  const given = silent.caughtUp(giveUp);
  const kept = silent.caughtUp();
  giveUp.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  await silent[Symbol.asyncDispose]();
  expect(await kept).toBe(false);
});

it("takes nothing of a file that was cut off, at any byte", async () => {
  const file = await fileFrame(5);
  const { length } = bytesOf([file]);
  const cuts = Array.from({ length: 9 }, (_, n) => 1 + Math.floor((n * (length - 1)) / 8));
  const script = cuts.map((cutBytes) => ({ frames: [hello(5n), file], cutBytes }));
  await using stage = new Stage(script);
  await stage.untilAsked(cuts.length);
  expect(stage.taken).toEqual([]);
});

it("does not take a damaged file, and connects again", async () => {
  const file = await fileFrame(5);
  const bytes = file.kind === "file" ? file.bytes.slice() : new Uint8Array(0);
  bytes[200] = (bytes[200] ?? 0) ^ 1;
  const damaged: StreamFrame = { kind: "file", bytes };
  await using stage = new Stage([{ frames: [hello(5n), damaged], isOpen: true }, {}]);
  await stage.untilAsked(2);
  expect(stage.taken).toEqual([]);
});

it("gives up a connection on which nothing comes, not even heartbeats", async () => {
  await using stage = new Stage([{ frames: [hello(4n)], isOpen: true }, {}]);
  await until(() => stage.live.length === 1);
  await stage.untilAsked(2);
  expect(stage.live).toEqual([true, false]);
});

it.each([401, 404, 503])("asks again later when it is answered with %i", async (status) => {
  await using stage = new Stage([{ status }, { frames: [hello(4n)], isOpen: true }]);
  await stage.untilAsked(2);
  await until(() => stage.live.includes(true));
});

it("asks less and less often while the primary is away", async () => {
  await using stage = new Stage([]);
  const startMs = stage.clock.monotonicMs();
  await stage.untilAsked(12);
  expect(stage.clock.monotonicMs() - startMs).toBeGreaterThan(20_000);
});

it("leaves the store to decide after a reset, and when there is no room", async () => {
  const reset: StreamFrame = { kind: "reset", headTxid: 9n, durableTxid: 9n };
  await using stage = new Stage([{ frames: [hello(9n), reset] }, {}]);
  await stage.untilAsked(2);
  await using full = new Stage([{ frames: [hello(5n), await fileFrame(5)], isOpen: true }, {}]);
  full.answer = "no-room";
  await full.untilAsked(2);
  expect([stage.left, full.left]).toEqual([0, 0]);
});

it("tells the follower that the primary has another history", async () => {
  const cases: readonly (readonly StreamFrame[])[] = [
    [hello(3n)],
    [hello(4n, (1n << 63n) | 1n)],
    [hello(0n), { kind: "reset", headTxid: 3n, durableTxid: 3n }],
  ];
  for (const frames of cases) {
    await using stage = new Stage([{ frames, isOpen: true }, {}]);
    await until(() => stage.left === 1);
  }
  await using contradicted = new Stage([{ frames: [hello(5n), await fileFrame(5)], isOpen: true }]);
  contradicted.answer = "other-history";
  await until(() => contradicted.left === 1);
});

it("refuses an address that is none", () => {
  expect(() => new Stage([], "127.0.0.1:9090")).toThrow(/push must be the address/u);
  expect(() => new Stage([], "file:///srv/app")).toThrow(/push must be the address/u);
});
