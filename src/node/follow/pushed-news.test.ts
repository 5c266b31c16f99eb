// What a follower takes of what is pushed, while it applies and while the store is faster.
import { expect, it } from "vitest";
import { sampleHistory } from "../../../test/support/replica-builder.ts";
import { silentLogger } from "../../core/base/log.ts";
import type { ChainPoint } from "../../core/replica/chain-files.ts";
import { receiveFile } from "../../core/push/pushed-files.ts";
import type { Taken } from "../../core/push/push-client.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { PushedNews } from "./pushed-news.ts";

const history = sampleHistory();

function newsAt(at: () => ChainPoint | undefined): {
  news: PushedNews;
  take: (txid: number) => Promise<Taken>;
} {
  const environment = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const { codec } = history;
  const options = { url: "http://127.0.0.1:1", token: undefined, codec, environment, at };
  const news = new PushedNews({ ...options, onNews: () => undefined });
  const take = async (txid: number): Promise<Taken> =>
    news.take(await receiveFile(codec, await history.fileOf({ min: txid, max: txid })));
  return { news, take };
}

const txidsOf = (news: PushedNews, after: bigint): number[] =>
  news.following(after).map(({ maxTxid }) => Number(maxTxid));

it("takes one file after the other, also while the output is between two states", async () => {
  let at: ChainPoint | undefined;
  const { news, take } = newsAt(() => at);
  expect([news.position, await take(5)]).toEqual([undefined, "no-room"]);
  at = { txid: 4n, checksum: 0n };
  expect(await take(5)).toBe("taken");
  at = undefined;
  expect(await take(6)).toBe("taken");
  expect(await take(8)).toBe("no-room");
  expect(txidsOf(news, 4n)).toEqual([5, 6]);
  at = { txid: 6n, checksum: 0n };
  expect(await take(7)).toBe("taken");
  expect(txidsOf(news, 6n)).toEqual([7]);
});

it("passes over what the store was faster with, and refuses another history", async () => {
  const other = (1n << 63n) | 5n;
  let at: ChainPoint = { txid: 6n, checksum: 0n };
  const { news, take } = newsAt(() => at);
  expect(await take(5)).toBe("taken");
  expect(txidsOf(news, 6n)).toEqual([]);
  at = { txid: 6n, checksum: other };
  expect(await take(7)).toBe("other-history");
});

it("tells a follower that came by push, and no other, that the primary has another history", () => {
  const { news } = newsAt(() => ({ txid: 4n, checksum: 0n }));
  news.leave();
  expect(news.takeOtherHistory({ file: { key: "ltx/0/4.ltx", etag: "" } })).toBe(false);
  news.leave();
  expect(news.takeOtherHistory({ file: { key: "pushed/1/4.ltx", etag: "" } })).toBe(true);
  expect(news.takeOtherHistory({ file: { key: "pushed/1/4.ltx", etag: "" } })).toBe(false);
});
