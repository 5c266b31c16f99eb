// What answers mean to a reader that stands still. The requests themselves are tested in browsers, with replicas.
import { describe, expect, it } from "vitest";
import type { BlockingContent, GetNowOptions } from "./blocking-reads.ts";
import { createHttpReads } from "./http-reads.ts";

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
}

interface Asked {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Gets `a/b.ltx` of a server that gives these answers, the last one again and again. */
function getNow(
  answers: readonly (Answer | Error)[],
  options: GetNowOptions = {},
): { readonly content: BlockingContent | undefined; readonly asked: readonly Asked[] } {
  const asked: Asked[] = [];
  const reads = createHttpReads({
    url: "https://host/replica?token=hush",
    fetchNow: (url, { headers }) => {
      const answer = answers[Math.min(asked.length, answers.length - 1)] ?? new Error("none");
      asked.push({ url, headers });
      if (answer instanceof Error) throw answer;
      return {
        status: answer.status,
        headers: { get: (name) => answer.headers?.[name] ?? null },
        bytes: new TextEncoder().encode(answer.text ?? ""),
      };
    },
  });
  return { content: reads.getNow("a/b.ltx", options), asked };
}

const text = (content: BlockingContent | undefined): string =>
  new TextDecoder().decode(content?.bytes);

describe("blocking reads over HTTP", () => {
  it("ask for a part, and take what the server says of the whole", () => {
    const part: Answer = {
      status: 206,
      headers: { "content-range": "bytes 3-6/20", etag: 'W/"v1"' },
      text: "3456",
    };
    const { content, asked } = getNow([part], { offset: 3, length: 4, etag: "v1" });
    expect(asked).toEqual([
      { url: "https://host/replica/a/b.ltx?token=hush", headers: { range: "bytes=3-6" } },
    ]);
    expect([text(content), content?.sizeBytes, content?.etag]).toEqual(["3456", 20, "v1"]);
  });

  it("ask for a whole without a range", () => {
    const { content, asked } = getNow([{ status: 200, text: "whole" }]);
    expect(asked[0]?.headers).toEqual({});
    expect([text(content), content?.sizeBytes, content?.etag]).toEqual(["whole", 5, ""]);
  });

  it("cut the part out of a whole, and believe a part whose place CORS hides", () => {
    const whole = getNow([{ status: 200, text: "0123456789" }], { offset: 3, length: 4 });
    expect([text(whole.content), whole.content?.sizeBytes]).toEqual(["3456", 10]);
    const hidden = getNow([{ status: 206, text: "3456" }], { offset: 3, length: 4 });
    expect([text(hidden.content), hidden.content?.sizeBytes]).toEqual(["3456", undefined]);
  });

  it("give nothing for what is not there, and no bytes beyond the end", () => {
    expect(getNow([{ status: 404 }]).content).toBeUndefined();
    const beyond = getNow([{ status: 416 }], { offset: 30, length: 4 });
    expect(beyond.content?.bytes).toHaveLength(0);
  });

  it.each([
    ["another version", "store/changed", { status: 206, headers: { etag: '"v2"' } }],
    ["another time", "store/changed", { status: 206, headers: { "last-modified": "then" } }],
    [
      "another place",
      "store/failed",
      { status: 206, headers: { "content-range": "bytes 4-7/20" }, text: "4567" },
    ],
    ["a refusal", "store/denied", { status: 403 }],
  ] as const)("refuse %s", (_, code, answer) => {
    expect(() => getNow([answer], { offset: 3, length: 4, etag: "v1" })).toThrow(
      expect.objectContaining({ code }),
    );
  });

  it("try again what was not answered, a few times", () => {
    const away = new Error("the network is gone");
    const { content, asked } = getNow([away, { status: 503 }, { status: 200, text: "here" }]);
    expect([text(content), asked.length]).toEqual(["here", 3]);
    expect(() => getNow([away])).toThrow(expect.objectContaining({ code: "store/unavailable" }));
    expect(() => getNow([{ status: 503 }])).toThrow("HTTP 503");
  });

  it("show no secret", () => {
    expect(() => getNow([new Error("gone")])).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("hush") }),
    );
    expect(() => createHttpReads({ url: "ftp://host/x", fetchNow: () => never() })).toThrow(
      expect.objectContaining({ code: "store/url" }),
    );
  });
});

function never(): never {
  throw new Error("nothing is asked for");
}
