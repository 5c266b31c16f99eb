// Follows the stream of a primary: connects, checks what comes, hands it over, and connects again for as long as it lives.
// It decides nothing about the store: whoever follows reads that as if there were no stream whenever this is not live.
import { type Backoff, type Waiting, backoffMs, orAborted } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import { HeadwaterError, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Codec } from "../codec/codec.ts";
import { areContradictory } from "../ltx/header.ts";
import { formatTxid, toTxid } from "../ltx/txid.ts";
import type { ChainPoint } from "../replica/chain-files.ts";
import { HeadArrival } from "./head-arrival.ts";
import { type ReceivedFile, receiveFile } from "./pushed-files.ts";
import { type HelloFrame, type StreamFrame, decodeFrames } from "./stream-frames.ts";

/** What is used of `fetch`. */
export type PushFetch = (
  url: string,
  options: { readonly headers: Record<string, string>; readonly signal: AbortSignal },
) => Promise<{
  readonly status: number;
  readonly body: {
    getReader(): {
      read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
      cancel(reason?: unknown): Promise<void>;
    };
  } | null;
  text(): Promise<string>;
}>;

/** What a follower has made of a file. `no-room`: it comes from the store instead. */
export type Taken = "taken" | "no-room" | "other-history";

/** Who follows. */
export interface PushSink {
  /** Where it is, asked for each connection; `undefined`: nowhere yet. */
  readonly position: ChainPoint | undefined;
  /** The next file. Throws if it cannot be used. */
  take(file: ReceivedFile): Taken | Promise<Taken>;
  /** Every TXID up to it is in the replicas. */
  noteDurable(txid: bigint): void;
  /** From now on the primary tells whatever is new, or from now on only the store does. */
  noteLive(isLive: boolean): void;
  /** The primary has another history: what was pushed and is not in the store counts for nothing. */
  leave(): void | Promise<void>;
}

export interface PushClientOptions {
  /** `http://host:port/databases/<name>`, also with `/stream` at its end. */
  readonly url: string;
  /** What the primary asks for, if it does. Never logged. */
  readonly token?: string | undefined;
  readonly fetch: PushFetch;
  readonly sink: PushSink;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const backoff: Backoff = { firstMs: 250, maxMs: 10_000 };
const connectTimeoutMs = 15_000;
/** Until the primary has told how often it sends something. */
const firstHeartbeatMs = 5_000;
/** So many of them without a byte: the connection is dead. */
const silentHeartbeats = 3;
/** A heartbeat longer than this is not waited for. */
const longestHeartbeatMs = 60_000;

/** Why a connection has ended although nothing failed. */
type Ending = Exclude<Taken, "taken"> | "reset" | "end";

/** Follows until it is disposed. */
export class PushClient implements AsyncDisposable {
  readonly #options: PushClientOptions;
  readonly #address: string;
  readonly #stop = new AbortController();
  readonly #arrival = new HeadArrival();
  readonly #running: Promise<void>;
  #failures = 0;

  /** Starts at once. Throws `usage/invalid` for an address that is none. */
  constructor(options: PushClientOptions) {
    this.#options = options;
    this.#address = streamAddress(options.url);
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#arrival.noteAway();
  }

  /** Waits until the follower has what the primary had when it was connected to; false: as `HeadArrival`. */
  caughtUp(waiting: Waiting): Promise<boolean> {
    return this.#arrival.wait(waiting);
  }

  async #run(): Promise<void> {
    const { clock, random, logger, sink } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const { position } = sink;
      if (position !== undefined) await this.#follow(position);
      if (signal.aborted) return;
      this.#failures++;
      const waitMs = Math.round(backoffMs(this.#failures, backoff, random));
      logger.log("debug", "push.waiting", { waitMs });
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
    }
  }

  /** One connection. Never throws. */
  async #follow(position: ChainPoint): Promise<void> {
    const { logger, sink } = this.#options;
    const { signal } = this.#stop;
    const connection = new AbortController();
    const both = AbortSignal.any([signal, connection.signal]);
    try {
      const why = await this.#stream(position, { signal: both });
      if (why === "other-history") await sink.leave();
      if (why === "reset" || why === "no-room") this.#arrival.noteDetour();
      else this.#arrival.noteAway();
      logger.log(why === "other-history" ? "warn" : "info", "push.ended", { why });
    } catch (error) {
      if (signal.aborted) return;
      this.#arrival.noteAway();
      // One line for an outage, however long it is.
      const level = this.#failures === 0 ? "warn" : "debug";
      logger.log(level, "push.failed", { error: messageOf(error) });
    } finally {
      connection.abort();
      sink.noteLive(false);
    }
  }

  async #stream(position: ChainPoint, waiting: { readonly signal: AbortSignal }): Promise<Ending> {
    const { sink, codec, logger } = this.#options;
    let heartbeatMs = firstHeartbeatMs;
    const body = this.#open(position, () => heartbeatMs, waiting);
    for await (const frame of decodeFrames(body)) {
      switch (frame.kind) {
        case "hello":
          if (isOtherHistory(frame, position)) return "other-history";
          heartbeatMs = Math.min(longestHeartbeatMs, frame.heartbeatMs);
          logger.log("info", "push.live", { after: formatTxid(toTxid(position.txid)) });
          sink.noteLive(true);
          sink.noteDurable(frame.durableTxid);
          this.#arrival.noteHead(frame.headTxid, position.txid);
          break;
        case "file": {
          const taken = await sink.take(await receiveFile(codec, frame.bytes));
          if (taken !== "taken") return taken;
          this.#failures = 0;
          this.#noteAt();
          break;
        }
        case "durable":
          sink.noteDurable(frame.txid);
          break;
        case "heartbeat":
          this.#failures = 0;
          // The store may have brought the follower there.
          this.#noteAt();
          break;
        case "reset":
          return isBehind(frame, sink.position ?? position) ? "other-history" : "reset";
        case "end":
          return "end";
      }
    }
    return "end";
  }

  #noteAt(): void {
    const { position } = this.#options.sink;
    if (position !== undefined) this.#arrival.noteAt(position.txid);
  }

  async *#open(
    { txid }: ChainPoint,
    heartbeatMs: () => number,
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<Uint8Array> {
    const { fetch, token } = this.#options;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const address = `${this.#address}?after=${formatTxid(toTxid(txid))}`;
    const asked = fetch(address, { headers, signal }).catch((error: unknown) => {
      throw unreachableAt(this.#address, error);
    });
    const response = await this.#within(connectTimeoutMs, asked);
    if (response.status !== 200 || response.body === null) {
      throw await refusal(this.#address, response);
    }
    const reader = response.body.getReader();
    try {
      for (;;) {
        const read = await this.#within(silentHeartbeats * heartbeatMs(), reader.read());
        if (read.done || read.value === undefined) return;
        yield read.value;
      }
    } finally {
      // Nobody waits for the end of a connection that is left.
      void reader.cancel().catch(() => undefined);
    }
  }

  /** Throws if it takes longer, which nobody else would notice on a cable that was cut. */
  async #within<T>(ms: number, work: Promise<T>): Promise<T> {
    const done = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, done.signal]);
    const silence = this.#options.clock.sleep(ms, { signal }).then(() => {
      throw new HeadwaterError(
        "push/stream",
        `The primary at ${this.#address} has sent nothing for ${ms / 1000} s. The follower reads the store and connects again.`,
      );
    });
    silence.catch(() => undefined);
    try {
      return await orAborted(Promise.race([work, silence]), this.#stop);
    } finally {
      done.abort();
    }
  }
}

/** The address of a stream without its query. */
function streamAddress(text: string): string {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Told below.
  }
  if (url === undefined || !/^https?:$/u.test(url.protocol)) {
    throw new HeadwaterError(
      "usage/invalid",
      `push must be the address of a database at its primary, such as http://127.0.0.1:9090/databases/app, not ${text}.`,
    );
  }
  const path = url.pathname.replace(/\/+$/u, "");
  return `${url.origin}${path.endsWith("/stream") ? path : `${path}/stream`}`;
}

/** The primary's newest state is older than ours, or another one of the same number. */
function isOtherHistory(
  { headTxid, headChecksum }: HelloFrame,
  { txid, checksum }: ChainPoint,
): boolean {
  if (headTxid === 0n || headTxid > txid) return false;
  return headTxid < txid || areContradictory(headChecksum, checksum);
}

function isBehind(
  { headTxid }: StreamFrame & { readonly kind: "reset" },
  { txid }: ChainPoint,
): boolean {
  return headTxid !== 0n && headTxid < txid;
}

function unreachableAt(address: string, error: unknown): HeadwaterError {
  // Node says why in the cause; a browser says nothing.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return new HeadwaterError(
    "push/refused",
    `${address} cannot be reached: ${messageOf(cause)}. The store is read instead.`,
    { cause: error },
  );
}

async function refusal(
  address: string,
  response: Awaited<ReturnType<PushFetch>>,
): Promise<HeadwaterError> {
  const said = (await response.text().catch(() => "")).slice(0, 300).trim();
  return new HeadwaterError(
    "push/refused",
    `${address} answers ${response.status}${said === "" ? "" : `: ${said}`}. The store is read instead.`,
    { data: { status: response.status } },
  );
}
