// A primary's stream for tests in a browser, in its real frames: a follower gets the files that a scene has pushed.
import type { ServerResponse } from "node:http";
import { toTxid } from "../../src/core/ltx/txid.ts";
import { type StreamFrame, encodeFrame } from "../../src/core/push/stream-frames.ts";

/** A file, and the TXIDs that it leads from and to. */
export interface StreamedFile {
  readonly min: number;
  readonly max: number;
  readonly bytes: Uint8Array;
}

/** Nothing is sent so often: a test does not last so long. */
const heartbeatMs = 600_000;

export class SceneStream {
  readonly #files: StreamedFile[] = [];
  readonly #followers = new Map<ServerResponse, number>();

  /** Answers `GET .../stream?after=TXID`, until the follower goes or the server ends. */
  follow(response: ServerResponse, after: string): void {
    this.#followers.set(response, Number(`0x${after}`));
    response.on("close", () => this.#followers.delete(response));
    response.writeHead(200, { "Content-Type": "application/octet-stream" });
    const headTxid = toTxid(this.#files.at(-1)?.max ?? 0);
    send(response, {
      kind: "hello",
      heartbeatMs,
      headTxid,
      headChecksum: 0n,
      durableTxid: 0n,
    });
    this.#serve();
  }

  push(file: StreamedFile): void {
    this.#files.push(file);
    this.#serve();
  }

  #serve(): void {
    for (const [response, after] of this.#followers) {
      let at = after;
      for (const { min, max, bytes } of this.#files) {
        if (min !== at + 1) continue;
        send(response, { kind: "file", bytes });
        at = max;
      }
      this.#followers.set(response, at);
    }
  }
}

function send(response: ServerResponse, frame: StreamFrame): void {
  for (const part of encodeFrame(frame)) response.write(part);
}
