// Tells a URL what has changed, in order, one message at a time. What cannot be delivered is dropped and logged: the log
// has it all.
import { backoffMs } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Send } from "./monitor.ts";

export interface WebhookOptions {
  readonly send: Send;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The body, as JSON; `at` is added. */
export interface WebhookMessage {
  readonly event: "database.unhealthy" | "database.healthy";
  readonly database: string;
  readonly state: string;
  readonly reasons: readonly string[];
  readonly error: string | undefined;
}

const attempts = 4;
const backoff = { firstMs: 1_000, maxMs: 10_000 };
const timeoutMs = 10_000;
/** Messages that may wait; then the oldest goes. */
const maxWaiting = 100;

/** The shortest pause of the back-off: nobody else posts at the same moment. */
const noJitter = { float: () => 0, bytes: (length: number) => new Uint8Array(length) };

export class Webhook implements AsyncDisposable {
  readonly #url: string;
  readonly #options: WebhookOptions;
  readonly #ending = new AbortController();
  readonly #waiting: string[] = [];
  #delivering: Promise<void> | undefined;

  constructor(url: string, options: WebhookOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** Queues a message; never throws. */
  post(message: WebhookMessage): void {
    const at = new Date(this.#options.clock.nowMs()).toISOString();
    this.#waiting.push(JSON.stringify({ ...message, at }));
    if (this.#waiting.length > maxWaiting) {
      this.#waiting.shift();
      this.#options.logger.log("warn", "webhook.dropped", { waiting: maxWaiting });
    }
    this.#delivering ??= this.#deliver();
  }

  /** Gives up what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#delivering;
  }

  async #deliver(): Promise<void> {
    const { signal } = this.#ending;
    for (let body = this.#waiting.shift(); body !== undefined; body = this.#waiting.shift()) {
      for (let attempt = 1; !signal.aborted && !(await this.#try(body, attempt)); attempt++) {
        if (attempt === attempts) break;
        const waitMs = backoffMs(attempt, backoff, noJitter);
        await this.#options.clock.sleep(waitMs, { signal }).catch(() => undefined);
      }
    }
    this.#delivering = undefined;
  }

  async #try(body: string, attempt: number): Promise<boolean> {
    const { send, logger } = this.#options;
    const { signal: ending } = this.#ending;
    try {
      const response = await send(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        signal: AbortSignal.any([ending, AbortSignal.timeout(timeoutMs)]),
      });
      await response.body?.cancel();
      if (response.ok) return true;
      throw new Error(`the answer was ${response.status}`);
    } catch (error) {
      if (!ending.aborted)
        logger.log("warn", "webhook.failed", { attempt, error: messageOf(error) });
      return false;
    }
  }
}
