// Following a daemon's stream as any client would, frame by frame.
import { decodeHeader } from "../../src/core/ltx/header.ts";
import { type StreamFrame, decodeFrames } from "../../src/core/push/stream-frames.ts";
import type { Daemon } from "./daemon.ts";

/** At the top of a configuration file: streams for this machine, on any free port. */
export const pushKeys = 'addr: "127.0.0.1:0"\npush:\n  enabled: true\n';

/** Where the daemon serves metrics and streams. */
export async function addressOf(daemon: Daemon): Promise<string> {
  const line = await daemon.event("metrics.listening");
  return /address=(?<address>\S+)/u.exec(line)?.groups?.["address"] ?? "";
}

/** The frames of one stream, read as they are asked for. Disposing it leaves the stream. */
export class StreamReader implements AsyncDisposable {
  readonly frames: StreamFrame[] = [];
  readonly #frames: AsyncGenerator<StreamFrame, void, undefined>;
  readonly #leaving: AbortController;

  private constructor(chunks: AsyncIterable<Uint8Array>, leaving: AbortController) {
    this.#frames = decodeFrames(chunks);
    this.#leaving = leaving;
  }

  static async open(url: string, after: bigint | string): Promise<StreamReader> {
    const leaving = new AbortController();
    const text = typeof after === "string" ? after : after.toString(16);
    const response = await fetch(`${url}/stream?after=${text}`, { signal: leaving.signal });
    if (response.status !== 200 || response.body === null)
      throw new Error(`${response.status} ${await response.text()}`);
    // Locks the body at once: fetch cancels one that nobody reads yet when its response is collected as garbage.
    return new StreamReader(response.body.values(), leaving);
  }

  /** The next frame; `undefined` at the end. */
  async next(): Promise<StreamFrame | undefined> {
    const result = await this.#frames.next();
    if (result.done === true) return undefined;
    this.frames.push(result.value);
    return result.value;
  }

  /** Reads on to the first frame of a kind. */
  async until<K extends StreamFrame["kind"]>(kind: K): Promise<StreamFrame & { kind: K }> {
    for (;;) {
      const frame = await this.next();
      if (frame === undefined) throw new Error(`the stream ended without ${kind}`);
      if (isKind(frame, kind)) return frame;
      if (frame.kind === "reset" || frame.kind === "end")
        throw new Error(`there was ${frame.kind}`);
    }
  }

  /** Reads on until a file ends at the TXID. */
  async untilTxid(txid: bigint): Promise<void> {
    while (decodeHeader((await this.until("file")).bytes).maxTxid < txid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaving.abort();
    await this.#frames.return().catch(() => undefined);
  }
}

function isKind<K extends StreamFrame["kind"]>(
  frame: StreamFrame,
  kind: K,
): frame is StreamFrame & { kind: K } {
  return frame.kind === kind;
}
