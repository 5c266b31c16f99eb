// The persistent cache as the loader uses it: its failures are logged and cost a request, nothing else.
import type { Waiting } from "../base/async.ts";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { FileTable } from "./file-table.ts";
import type { FrameRef } from "./frame-table.ts";
import type { FrameIdentity, PersistentFrames } from "./persistent-frames.ts";
import type { WantedFrame } from "./request-plan.ts";

export interface FrameKeeperOptions {
  readonly persistent: PersistentFrames;
  readonly files: FileTable;
  readonly logger: Logger;
}

export class FrameKeeper {
  readonly #options: FrameKeeperOptions;

  constructor(options: FrameKeeperOptions) {
    this.#options = options;
  }

  /** The frame as it was kept; `undefined` if it is not there or cannot be read. */
  async take(frame: FrameRef, { signal }: Waiting): Promise<Uint8Array | undefined> {
    return this.#trying(() => this.#options.persistent.get(this.#identityOf(frame), { signal }));
  }

  /** Keeps frames out of the bytes of one read, which began at `offset` of the file. */
  async keep(
    frames: readonly WantedFrame[],
    { bytes, offset }: { readonly bytes: Uint8Array; readonly offset: number },
    { signal }: Waiting,
  ): Promise<void> {
    await Promise.all(
      frames.map(async ({ frame }) => {
        const at = frame.offset - offset;
        const part = bytes.subarray(at, at + frame.sizeBytes);
        await this.#trying(() =>
          this.#options.persistent.put(this.#identityOf(frame), part, { signal }),
        );
      }),
    );
  }

  async #trying<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#options.logger.log("warn", "view.cache-failed", { error: messageOf(error) });
      return undefined;
    }
  }

  #identityOf({ file, offset, sizeBytes }: FrameRef): FrameIdentity {
    const { key, etag } = this.#options.files.get(file);
    return { key, etag, offset, sizeBytes };
  }
}
