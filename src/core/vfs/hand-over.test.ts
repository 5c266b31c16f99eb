// Both sides in one thread, turn by turn: what each finds is decided by the word alone. Two real threads are in the tests of
// an open replica.
import { describe, expect, it } from "vitest";
import type { Reply, SentRequest } from "./protocol.ts";
import { readReply, readRequest, writeReply, writeRequest } from "./direct-messages.ts";
import { CallerHandOver, ThreadHandOver, createHandOver, handOverDefaults } from "./hand-over.ts";
import type { SqlParameters, SqlValue } from "./sql-values.ts";
import { ValueReader, ValueWriter } from "./value-codec.ts";

/** Nobody waits. */
const limits = { ...handOverDefaults, spinMs: 0, callerMs: 0, listenMs: 0, turnMs: Infinity };

function requestOf(parameters: SqlParameters = [7]): SentRequest {
  const sql = "SELECT * FROM t WHERE id = ?";
  return {
    request: { kind: "start", sql, parameters, isSingle: true },
    news: { newest: 3, maps: [] },
  };
}

function replyOf(rows: readonly (readonly SqlValue[])[]): Reply {
  const columns = (rows[0] ?? []).map((_, index) => `c${index}`);
  const common = { statement: undefined, columns, rows, isEmpty: false, rest: "" };
  return { kind: "rows", ...common, views: [3, 9], snapshot: undefined };
}

interface Sides {
  readonly caller: CallerHandOver;
  readonly thread: ThreadHandOver;
  /** What went as messages. */
  readonly posted: Reply[];
  readonly reply: (reply?: Reply) => void;
}

/** After a first request, which goes as a message. */
function openSides(
  changed: Partial<typeof limits> = {},
  onClock: () => void = () => undefined,
): Sides {
  const shared = createHandOver();
  const nowMs = (): number => {
    onClock();
    return 0;
  };
  const caller = new CallerHandOver(shared, { nowMs, limits: { ...limits, ...changed } });
  const thread = new ThreadHandOver(shared, { nowMs: () => 0, limits });
  const posted: Reply[] = [];
  const reply = (given = replyOf([[1]])): void => thread.reply(given, () => posted.push(given));
  expect(caller.ask(requestOf())).toBe("unsent");
  reply();
  expect(posted.splice(0)).toEqual([replyOf([[1]])]);
  return { caller, thread, posted, reply };
}

describe("a hand-over", () => {
  it("passes a request to a thread that listens, which hears it also if the caller has left", () => {
    const { caller, thread, posted, reply } = openSides();
    expect(caller.ask(requestOf())).toBe("sent");
    expect(thread.listen()).toEqual(requestOf());
    reply(replyOf([["late"]]));
    expect(posted).toEqual([replyOf([["late"]])]);
  });

  it("gives the reply at once if it comes while the caller stands still, however late that looks", () => {
    // The thread's part, played when the caller looks at the clock for the second time: it waits by then.
    let looks = -Infinity;
    let isLate = false;
    const { caller, thread } = openSides({}, () => {
      looks++;
      if (looks !== 2) return;
      expect(thread.listen()).toEqual(requestOf());
      thread.reply(replyOf([["here", 1n]]), () => expect.unreachable());
      if (isLate) expect(thread.listen()).toBeUndefined();
    });
    for (const late of [false, true]) {
      isLate = late;
      looks = 0;
      expect(caller.ask(requestOf())).toEqual(replyOf([["here", 1n]]));
    }
  });

  it("sends a thread that hears nothing back to its messages", () => {
    const { caller, thread } = openSides();
    expect(thread.listen()).toBeUndefined();
    expect(caller.ask(requestOf())).toBe("unsent");
  });

  it("lets a caller go that a page is to be asked of", () => {
    const { caller, thread, posted, reply } = openSides();
    expect(caller.ask(requestOf())).toBe("sent");
    thread.listen();
    thread.leave();
    reply();
    expect(posted.length).toBe(1);
  });

  it("passes as messages what is large, what is news of views, and what is no value", () => {
    const views = [{ id: 1, map: { state: {}, layers: [] } }];
    const large: readonly SentRequest[] = [
      requestOf(["x".repeat(50_000)]),
      { ...requestOf(), news: { newest: 3, maps: JSON.parse(JSON.stringify(views)) } },
      requestOf([2n ** 63n]),
      requestOf(Object.assign([], { 0: () => 1 })),
    ];
    for (const request of large) {
      const { caller, thread } = openSides();
      expect(caller.ask(request)).toBe("unsent");
      expect(thread.listen()).toBeUndefined();
    }
    const { caller, thread, posted, reply } = openSides();
    caller.ask(requestOf());
    thread.listen();
    reply(replyOf([["x".repeat(50_000)]]));
    expect(posted.length).toBe(1);
    // And listens again.
    expect(caller.ask(requestOf())).toBe("sent");
    expect(thread.listen()).toEqual(requestOf());
  });

  it("gives the event loop a turn now and then", () => {
    const { caller, thread } = openSides({ turnMs: 0 });
    expect(caller.ask(requestOf())).toBe("unsent");
    expect(thread.listen()).toBeUndefined();
  });
});

describe("messages as bytes", () => {
  const bytes = new Uint8Array(new SharedArrayBuffer(4096));
  const [writer, reader] = [new ValueWriter(bytes), new ValueReader(bytes)];

  it("keep every value what it is", () => {
    const values = [
      null,
      0,
      -0,
      -1,
      2 ** 31,
      2 ** 53,
      1.5,
      -Infinity,
      NaN,
      2n ** 63n - 1n,
      -(2n ** 63n),
      "",
      "\uFEFFgr\u00FC\u00DFe \u{1F600} \0",
      Uint8Array.of(),
      Uint8Array.of(1, 2, 255),
    ];
    expect(writeReply(writer, replyOf([values, values]))).toBe(true);
    expect(readReply(reader)).toEqual(replyOf([values, values]));
    expect(writeRequest(writer, requestOf(values))).toBe(true);
    expect(readRequest(reader)).toEqual(requestOf(values));
  });

  it("carry every kind of request and reply", () => {
    const named = { ":a": 1, __proto__: null, b: "x" };
    const { news } = requestOf();
    for (const request of [
      { kind: "next", statement: 5 },
      { kind: "close", statement: 6 },
    ] as const) {
      expect(writeRequest(writer, { request, news })).toBe(true);
      expect(readRequest(reader)).toEqual({ request, news });
    }
    expect(writeRequest(writer, requestOf(named))).toBe(true);
    expect(readRequest(reader)).toEqual(requestOf(named));
    expect(writeRequest(writer, requestOf([true, false]))).toBe(true);
    expect(readRequest(reader)).toEqual(requestOf([1, 0]));
    const open = { ...replyOf([]), statement: 4, isEmpty: true, rest: "SELECT 2", snapshot: 9 };
    expect(writeReply(writer, open)).toBe(true);
    expect(readReply(reader)).toEqual(open);
    const failed = { kind: "failed", error: undefined, views: [], snapshot: undefined } as const;
    expect(writeReply(writer, failed)).toBe(false);
  });

  it("are not written half", () => {
    const room = 200;
    const small = new ValueWriter(new Uint8Array(room));
    let fitting = 0;
    for (let count = 0; count < room; count++) {
      if (writeReply(small, replyOf([["x".repeat(count)]]))) fitting++;
    }
    expect(fitting).toBeGreaterThan(10);
    expect(fitting).toBeLessThan(room / 3);
  });
});
