// Looks at the health of every database now and then: tells changes in the log and to a webhook, and pings a heartbeat
// URL as long as all of them are well.
import type { Clock } from "../../core/base/clock.ts";
import { messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { healthOf } from "./health.ts";
import type { DatabaseHealth, HealthLimits, Patient } from "./health.ts";
import { Webhook } from "./webhook.ts";

/** What `fetch` is used for here. */
export type Send = (url: string, options: RequestInit) => Promise<Response>;

export interface MonitorOptions extends HealthLimits {
  readonly patients: () => readonly Patient[];
  readonly heartbeat?: Heartbeat | undefined;
  /** Gets a POST for each database that becomes unhealthy, or healthy again. */
  readonly webhookUrl?: string | undefined;
  readonly send: Send;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Heartbeat {
  readonly url: string;
  /** A ping at most so often, ms; the next one is tried after this time, whatever became of the last. */
  readonly intervalMs: number;
}

const lookMs = 5_000;
const heartbeatTimeoutMs = 30_000;

export class Monitor implements AsyncDisposable {
  readonly #options: MonitorOptions;
  readonly #ending = new AbortController();
  readonly #webhook: Webhook | undefined;
  /** Paths of the databases that were unhealthy at the last look. */
  readonly #ill = new Map<string, string>();
  readonly #running: Promise<void>;
  #pingedAtMs = Number.NEGATIVE_INFINITY;

  /** Looks until it is disposed. */
  constructor(options: MonitorOptions) {
    this.#options = options;
    const { webhookUrl } = options;
    this.#webhook = webhookUrl === undefined ? undefined : new Webhook(webhookUrl, options);
    this.#running = this.#run();
  }

  /** The health of all databases now. */
  health(): readonly DatabaseHealth[] {
    const { patients, clock } = this.#options;
    const nowMs = clock.nowMs();
    return patients().map((patient) => healthOf(patient, nowMs, this.#options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    await this.#webhook?.[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#options.clock.sleep(lookMs, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const all = this.health();
      this.#noteChanges(all);
      await this.#ping(all, signal);
    }
  }

  #noteChanges(all: readonly DatabaseHealth[]): void {
    const gone = new Set(this.#ill.keys());
    for (const health of all) {
      const { path, isHealthy, reasons, state, error } = health;
      gone.delete(path);
      const ill = reasons.join(", ");
      if ((this.#ill.get(path) ?? "") === ill) continue;
      if (isHealthy) this.#ill.delete(path);
      else this.#ill.set(path, ill);
      const event = isHealthy ? "database.healthy" : "database.unhealthy";
      this.#options.logger.log(isHealthy ? "info" : "error", event, {
        db: path,
        state,
        reasons: ill,
        error,
      });
      this.#webhook?.post({ event, database: path, state, reasons, error });
    }
    for (const path of gone) this.#ill.delete(path);
  }

  /** A stopped database does not count; without any other there is nothing to vouch for. */
  async #ping(all: readonly DatabaseHealth[], signal: AbortSignal): Promise<void> {
    const { heartbeat, clock, logger, send } = this.#options;
    if (heartbeat === undefined) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#pingedAtMs < heartbeat.intervalMs) return;
    const counted = all.filter(({ state }) => state !== "stopped");
    if (counted.length === 0 || counted.some(({ isHealthy }) => !isHealthy)) return;
    this.#pingedAtMs = nowMs;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(heartbeatTimeoutMs)]);
      const response = await send(heartbeat.url, { method: "GET", signal: limit });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`the answer was ${response.status}`);
      logger.log("debug", "heartbeat.sent", {});
    } catch (error) {
      if (!signal.aborted) logger.log("warn", "heartbeat.failed", { error: messageOf(error) });
    }
  }
}
