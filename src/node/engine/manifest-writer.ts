// Writes the manifest of one replica, beside replication and never in its way: after each upload, and after what levels and
// retention do, as one put for all that has changed meanwhile. What fails is logged, shown in the status, and made good
// with the next. A database that does not change makes no request.
import { collectBytes, bytesEqual } from "../../core/base/bytes.ts";
import { backoffMs } from "../../core/base/async.ts";
import { hasCode, messageOf } from "../../core/base/errors.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { readAllFacts, unknownOfNewest } from "../../core/replica/make-manifest.ts";
import { encodeManifest, manifestKey } from "../../core/replica/manifest.ts";
import { parseManifest } from "../../core/replica/parse-manifest.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import { Bell } from "./bell.ts";
import type { ManifestStatus } from "./engine-status.ts";
import type { ManifestBook } from "./manifest-book.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

const backoff = { firstMs: 1_000, maxMs: 300_000 };

/** A long history makes a large manifest, which is then written less often: so many bytes in a second. */
const bytesPerSecond = 256 * 1024;

/** Asked for anew each time, and then sent only if it has changed. */
const web = { contentType: "application/json", cacheControl: "no-cache" };

export interface ManifestHooks {
  /** All files of the replica, as far as they are known; listed if they are not. `undefined`: it is in doubt just now. */
  readonly files: (waiting: Waiting) => Promise<readonly ReplicaFile[] | undefined>;
  /** What an earlier engine has left is known, and there are no hot pages in it. */
  readonly onNoHotPages: () => void;
}

export class ManifestWriter {
  readonly #parts: ReplicaParts;
  readonly #book: ManifestBook;
  readonly #hooks: ManifestHooks;
  readonly #bell = new Bell();
  #isPending = false;
  #isAtWork = false;
  #isOff = false;
  /** As it lies in the replica; `undefined`: not looked at yet. */
  #stored: Uint8Array | undefined;
  /** On the clock that nobody sets: not before it. */
  #nextAtMs = Number.NEGATIVE_INFINITY;
  #txid: Txid | undefined;
  #writtenAtMs: number | undefined;
  #failures = 0;
  #failingSinceMs: number | undefined;
  #lastError: string | undefined;

  constructor(parts: ReplicaParts, book: ManifestBook, hooks: ManifestHooks) {
    this.#parts = parts;
    this.#book = book;
    this.#hooks = hooks;
    book.onChange = () => this.note();
    // Killed before it was written, an earlier engine has left it behind.
    this.#isPending = parts.endedRest === undefined;
  }

  get status(): ManifestStatus {
    return {
      txid: this.#txid,
      writtenAtMs: this.#writtenAtMs,
      failingSinceMs: this.#failingSinceMs,
      lastError: this.#lastError,
    };
  }

  /** It is being written, or will be as soon as it may. A store that fails keeps nobody awake. */
  get isBusy(): boolean {
    return this.#isAtWork || (this.#isPending && !this.#isOff && this.#failures === 0);
  }

  /** Something in the replica has changed. */
  note(): void {
    this.#isPending = true;
    this.#bell.ring();
  }

  /** Writes until aborted. Never throws. */
  async run({ signal }: Waiting): Promise<void> {
    while (!signal.aborted && !this.#isOff) {
      const isDue = this.#isPending && this.#msUntilMay() === 0;
      if (!isDue) await this.#bell.wait(this.#isPending ? this.#msUntilMay() : undefined, signal);
      else await this.#attempt({ signal });
    }
  }

  /** Writes what is left to write, once. Never throws. Nothing else may run any more. */
  async finish({ signal }: Waiting): Promise<void> {
    if (this.#isPending && !this.#isOff) await this.#attempt({ signal });
  }

  #msUntilMay(): number {
    const { clock, link } = this.#parts;
    const waitMs = Math.max(0, this.#nextAtMs - clock.monotonicMs());
    return Math.max(waitMs, link.budget?.msUntilUpkeep() ?? 0);
  }

  async #attempt({ signal }: Waiting): Promise<void> {
    const { clock, random, logger } = this.#parts;
    this.#isPending = false;
    this.#isAtWork = true;
    try {
      await this.#write({ signal });
      if (this.#failures > 0) logger.log("info", "manifest.recovered", {});
      this.#failures = 0;
      this.#failingSinceMs = undefined;
      this.#lastError = undefined;
    } catch (error) {
      this.#isPending = true;
      if (signal.aborted) return;
      this.#lastError = messageOf(error);
      this.#failingSinceMs ??= clock.nowMs();
      const isFinal = isForeign(error) || hasCode(error, "engine/another-writer");
      const waitMs = Math.round(backoffMs(++this.#failures, backoff, random));
      this.#nextAtMs = clock.monotonicMs() + waitMs;
      if (isFinal) this.#turnOff();
      const fields = { error: this.#lastError, failures: this.#failures };
      logger.log("warn", "manifest.failed", isFinal ? fields : { ...fields, waitMs });
    } finally {
      this.#isAtWork = false;
    }
  }

  /** What stands in the way does not go by itself. */
  #turnOff(): void {
    this.#isOff = true;
    this.#isPending = false;
    this.#book.giveUp();
  }

  async #write({ signal }: Waiting): Promise<void> {
    const { link, clock, logger } = this.#parts;
    const files = await this.#hooks.files({ signal });
    if (files === undefined) {
      this.#isPending = true;
      this.#nextAtMs = clock.monotonicMs() + backoff.firstMs;
      return;
    }
    if (this.#stored === undefined) {
      this.#stored = await this.#readStored({ signal });
      if (this.#book.hot === undefined) this.#hooks.onNoHotPages();
    }
    const stored = this.#stored;
    await this.#lookInto(files, { signal });
    const manifest = this.#book.make(files);
    if (manifest === undefined) return;
    const bytes = encodeManifest(manifest);
    if (!bytesEqual(bytes, stored)) {
      await link.lease.holdOrSeeFree({ signal });
      await link.upkeepStore.put(manifestKey, bodyOf(bytes), { web, signal });
      this.#stored = bytes;
      this.#writtenAtMs = clock.nowMs();
      const { txid } = manifest;
      const fields = { txid: formatTxid(txid), files: files.length, sizeBytes: bytes.length };
      logger.log("debug", "manifest.written", fields);
    }
    const nowMs = clock.monotonicMs();
    this.#nextAtMs = nowMs + (bytes.length / bytesPerSecond) * 1000;
    this.#txid = manifest.txid;
    this.#book.noteWritten(manifest);
  }

  /** What an earlier engine has written, and knew. */
  async #readStored({ signal }: Waiting): Promise<Uint8Array> {
    const { link, logger, schedule } = this.#parts;
    const content = await link.upkeepStore.get(manifestKey, { signal });
    if (content === undefined) return new Uint8Array(0);
    const bytes = await collectBytes(content.body);
    try {
      const manifest = parseManifest(bytes, link.store.url);
      // What nobody is going to delete is for readers again.
      const isKept = schedule?.retentionEnabled === false;
      const learned = isKept ? { ...manifest, withdrawn: [] } : manifest;
      this.#book.learn(learned, content.info.timestampMs);
    } catch (error) {
      if (isForeign(error) || !hasCode(error, "replica/manifest")) throw error;
      logger.log("warn", "manifest.unusable", { error: messageOf(error) });
    }
    return bytes;
  }

  /** Of what readers open first they are spared looking into it themselves. */
  async #lookInto(files: readonly ReplicaFile[], { signal }: Waiting): Promise<void> {
    const unknown = unknownOfNewest(files, (file) => this.#book.factsOf(file) !== undefined);
    if (unknown.length === 0) return;
    const found = await readAllFacts(this.#parts.link.upkeepStore, unknown, { signal });
    for (const [file, facts] of found) this.#book.noteFacts(file, facts);
  }
}

/** Another program's object of that name is not written over. */
function isForeign(error: unknown): boolean {
  return hasCode(error, "replica/manifest") && error.data["reason"] === "foreign";
}
