// The stress of docs/capture.md: two writers with automatic checkpoints, an adversary that checkpoints in every mode, long
// readers, and capture with a cadence far more aggressive than the engine's. HEADWATER_STRESS_SECONDS shortens it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { AppliedImage } from "../../../test/support/applied-image.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { workloadSchema } from "../../../test/support/workload.ts";
import { silentLogger } from "../../core/base/log.ts";
import { systemClock } from "../base/clock.ts";
import { openCapture, type Capture } from "./capture.ts";

const seconds = Number(process.env["HEADWATER_STRESS_SECONDS"] ?? "60");
const script = fileURLToPath(new URL("../../../test/support/stress-child.ts", import.meta.url));

interface Participant extends Disposable {
  stop(): Promise<number>;
}

function start(role: string, path: string, seed: number): Participant {
  const child = spawn(process.execPath, [script, role, path, String(seed)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const output = text(child.stdout);
  const exited = once(child, "exit");
  return {
    [Symbol.dispose]: () => {
      child.kill("SIGKILL");
    },
    stop: async () => {
      child.stdin.end();
      const [code] = await exited;
      if (code !== 0) throw new Error(`${role} ended with ${String(code)}`);
      return Number(await output);
    },
  };
}

interface Tally {
  captured: number;
  checkpoints: number;
  complete: number;
  truncated: number;
  resumed: number;
  imaged: number;
  checks: number;
  maxLockMs: number;
  maxWalBytes: number;
}

/** What is pending while nothing is staged. */
const lookBytes = 64 << 20;

/** Applies everything that is committed, in bounded batches that are read while writers go on. */
async function drain(capture: Capture, image: AppliedImage, tally: Tally): Promise<void> {
  for (;;) {
    const { more } = capture.capture({ maxBytes: 4 << 20 });
    const batch = capture.takeBatch();
    if (batch !== undefined) {
      await systemClock.sleep(0, {});
      if (tally.captured % 2 === 0) capture.capture({ maxBytes: lookBytes });
      image.apply(batch);
      tally.captured += batch.transactions;
      batch.release();
    }
    if (!more) return;
  }
}

const seqOf = (image: AppliedImage): number =>
  Number(image.all("SELECT seq FROM progress")[0]?.["seq"]);

/** The image holds exactly the transactions that were counted, whole and in order. */
function check(image: AppliedImage, tally: Tally): void {
  tally.checks++;
  expect(seqOf(image)).toBe(tally.captured);
  let sum = 0;
  for (let seq = 1; seq <= tally.captured; seq++) sum = (sum * 31 + seq) % 1_000_003;
  expect(image.all("SELECT sum FROM progress")).toEqual([{ sum }]);
  expect(image.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
}

async function takeImage(capture: Capture, image: AppliedImage, tally: Tally): Promise<void> {
  const source = await capture.pinImage();
  await systemClock.sleep(20, {});
  image.replace(source);
  source.release();
  tally.imaged++;
  tally.captured = seqOf(image);
}

interface Run {
  readonly restartEveryMs: number;
  /** In between, commits are only looked at: then the guard follows the writers by itself. */
  readonly stageEveryMs: number;
  readonly tally: Tally;
  readonly image: AppliedImage;
  /** Ends everybody else; what they committed last is captured afterwards. */
  readonly stopOthers: () => Promise<void>;
}

/** Drains, then checks: the history is counted without a hole up to here, before something starts it over. */
async function drainAndCheck(capture: Capture, image: AppliedImage, tally: Tally): Promise<void> {
  await drain(capture, image, tally);
  check(image, tally);
}

async function captureUntil(path: string, endMs: number, options: Run): Promise<void> {
  const { tally, image } = options;
  const open = async (resumeAt?: Capture["position"]): Promise<Capture> =>
    openCapture({ path, clock: systemClock, logger: silentLogger, resumeAt });
  let capture = await open();
  try {
    await takeImage(capture, image, tally);
    let restartAtMs = systemClock.nowMs() + options.restartEveryMs;
    let imageAtMs = systemClock.nowMs() + 3000;
    let stageAtMs = 0;
    for (let round = 0; systemClock.nowMs() < endMs; round++) {
      for (; systemClock.nowMs() < Math.min(stageAtMs, endMs); await systemClock.sleep(5, {})) {
        capture.capture({ maxBytes: lookBytes });
      }
      stageAtMs = systemClock.nowMs() + options.stageEveryMs;
      await drain(capture, image, tally);
      tally.maxWalBytes = Math.max(tally.maxWalBytes, capture.walSizeBytes);
      const outcome = await capture.checkpoint({
        mode: round % 7 === 0 ? "truncate" : "passive",
        // Sometimes nothing is staged before: then the tail has to survive in memory.
        drain: async () => (round % 3 === 0 ? undefined : drain(capture, image, tally)),
      });
      tally.checkpoints++;
      if (outcome?.complete === true) tally.complete++;
      if (outcome?.mode === "truncate") tally.truncated++;
      tally.maxLockMs = Math.max(tally.maxLockMs, outcome?.writeLockMs ?? 0);
      if (round % 20 === 0) await drainAndCheck(capture, image, tally);
      if (systemClock.nowMs() > imageAtMs) {
        await drainAndCheck(capture, image, tally);
        await takeImage(capture, image, tally);
        check(image, tally);
        imageAtMs = systemClock.nowMs() + 3000;
      }
      if (systemClock.nowMs() > restartAtMs) {
        await drainAndCheck(capture, image, tally);
        const { position } = capture;
        await capture.close();
        capture = await open(position);
        if (capture.resumed) tally.resumed++;
        else await takeImage(capture, image, tally);
        restartAtMs = systemClock.nowMs() + options.restartEveryMs;
      }
      await systemClock.sleep(20, {});
    }
    await options.stopOthers();
    await drainAndCheck(capture, image, tally);
  } finally {
    await capture.close();
  }
}

it.each([
  { restartEveryMs: Infinity, stageEveryMs: 0, share: 0.5 },
  { restartEveryMs: 1500, stageEveryMs: 0, share: 0.2 },
  { restartEveryMs: 7000, stageEveryMs: 3000, share: 0.3 },
])(
  "loses nothing among writers, checkpoints by others and long readers, staged every $stageEveryMs ms, re-attached every $restartEveryMs ms",
  async ({ restartEveryMs, stageEveryMs, share }) => {
    const directory = mkdtempSync(join(tmpdir(), "headwater-stress-"));
    try {
      const path = join(directory, "app.db");
      await using app = new SqliteProcess(path);
      await app.exec(`PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; ${workloadSchema}`);
      const seed = 7;
      using participants = new DisposableStack();
      const joined = (role: string, index: number): Participant =>
        participants.use(start(role, path, seed + index));
      const writers = [joined("write", 0), joined("write", 1)];
      const others = [joined("interfere", 2), joined("read", 3), joined("read", 4)];
      const image = new AppliedImage();
      const tally: Tally = {
        captured: 0,
        checkpoints: 0,
        complete: 0,
        truncated: 0,
        resumed: 0,
        imaged: 0,
        checks: 0,
        maxLockMs: 0,
        maxWalBytes: 0,
      };
      const endMs = systemClock.nowMs() + seconds * 1000 * share;
      let committed = 0;
      const stopOthers = async (): Promise<void> => {
        const counts = await Promise.all(writers.map(async (writer) => writer.stop()));
        await Promise.all(others.map(async (other) => other.stop()));
        committed = counts.reduce((sum, count) => sum + count, 0);
      };
      await captureUntil(path, endMs, { restartEveryMs, stageEveryMs, tally, image, stopOthers });
      console.log(JSON.stringify({ seed, committed, ...tally }));
      expect(tally.captured).toBe(committed);
      expect(Buffer.compare(image.bytes, await app.truth())).toBe(0);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
);
