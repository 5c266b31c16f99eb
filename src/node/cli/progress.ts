// Progress of long work: a bar that redraws itself on a terminal, a line now and then elsewhere. Work that is over at
// once shows nothing.
import { formatBytes } from "../base/quantities.ts";
import type { Clock } from "../../core/base/clock.ts";
import type { CliContext } from "./command.ts";

const redrawEveryMs = 100;
const lineEveryMs = 5000;
const barWidth = 30;

export interface ProgressStep {
  /** What is going on: `restoring app.db`. */
  readonly label: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Shows the steps given to `update`. Dispose it before printing anything else. */
export class Progress implements Disposable {
  readonly #context: CliContext;
  readonly #clock: Clock;
  readonly #startedMs: number;
  #shownMs: number;
  #isDrawn = false;

  constructor(context: CliContext, clock: Clock) {
    this.#context = context;
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
    this.#shownMs = this.#startedMs;
  }

  update(step: ProgressStep): void {
    const nowMs = this.#clock.monotonicMs();
    const { isTerminal, inform } = this.#context;
    if (nowMs - this.#shownMs < (isTerminal ? redrawEveryMs : lineEveryMs)) return;
    this.#shownMs = nowMs;
    if (isTerminal) {
      inform(`\r\u001B[K${formatBar(step, nowMs - this.#startedMs)}`);
      this.#isDrawn = true;
    } else {
      inform(`${formatLine(step, nowMs - this.#startedMs)}\n`);
    }
  }

  [Symbol.dispose](): void {
    if (this.#isDrawn) this.#context.inform("\r\u001B[K");
    this.#isDrawn = false;
  }
}

/** `restoring app.db  [=====     ]  50 %  65.5 MB of 131 MB, 210 MB/s` */
export function formatBar(step: ProgressStep, elapsedMs: number): string {
  const share = shareOf(step);
  const filled = Math.floor(share * barWidth);
  const bar = "=".repeat(filled).padEnd(barWidth);
  return `${step.label}  [${bar}] ${percent(share)}  ${amounts(step, elapsedMs)}`;
}

/** `restoring app.db: 50 %, 65.5 MB of 131 MB, 210 MB/s` */
export function formatLine(step: ProgressStep, elapsedMs: number): string {
  return `${step.label}: ${percent(shareOf(step)).trim()}, ${amounts(step, elapsedMs)}`;
}

function shareOf({ doneBytes, totalBytes }: ProgressStep): number {
  return totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
}

function percent(share: number): string {
  return `${Math.floor(share * 100)
    .toString()
    .padStart(3)} %`;
}

function amounts({ doneBytes, totalBytes }: ProgressStep, elapsedMs: number): string {
  const perSecond = elapsedMs > 0 ? (doneBytes * 1000) / elapsedMs : 0;
  return `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${formatBytes(perSecond)}/s`;
}
