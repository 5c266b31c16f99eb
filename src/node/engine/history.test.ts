import { expect, test } from "vitest";
import type { Clock } from "../../core/base/clock.ts";
import { silentLogger } from "../../core/base/log.ts";
import { openCodec } from "../../core/codec/codec.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import { CaptureFixture } from "../../../test/support/capture-fixture.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { systemClock } from "../base/clock.ts";
import type { Capture } from "../capture/capture.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { History } from "./history.ts";
import { scan } from "./image.ts";
import { Staging } from "./staging.ts";
import { ownershipOf } from "./state-directory.ts";

const codec = openCodec();
const waiting = { signal: new AbortController().signal };

interface Begun extends AsyncDisposable {
  readonly app: SqliteProcess;
  readonly capture: Capture;
  readonly staging: Staging;
  readonly history: History;
}

/** A captured database whose history begins with a staged image. */
async function begin(clock: Clock = systemClock): Promise<Begun> {
  await using stack = new AsyncDisposableStack();
  const fixture = stack.use(new CaptureFixture());
  const directory = stack.use(temporaryDirectory());
  const app = stack.use(new SqliteProcess(fixture.path));
  await app.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x)");
  const capture = stack.use(await fixture.open());
  const staging = await Staging.open(nodeFileSystem, directory.path, ownershipOf(fixture.path));
  const history = new History({ codec, clock, logger: silentLogger, staging, nodeId: 1n });
  const image = await capture.pinImage();
  await history.stageImage(image, waiting);
  image.release();
  const owned = stack.move();
  return { app, capture, staging, history, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

test("a batch is refused after one that was captured and given up unstaged", async () => {
  await using begun = await begin();
  const { app, capture, history } = begun;

  /** Commits once and takes what that changed; stages it unless told not to. */
  const commit = async ({ give }: { readonly give: "up" | "on" }): Promise<void> => {
    await app.exec("INSERT INTO t VALUES (1)");
    capture.capture();
    const batch = capture.takeBatch();
    try {
      if (give === "on" && batch !== undefined) await history.stageBatch(batch, waiting);
    } finally {
      batch?.release();
    }
  };
  await commit({ give: "on" });
  await commit({ give: "on" });
  await commit({ give: "up" });
  await expect(commit({ give: "on" })).rejects.toMatchObject({ code: "capture/gap" });
  expect(history.head?.txid).toBe(toTxid(3));

  // A comparison finds everything again, and the next batch continues it.
  const source = await capture.pinImage();
  await history.stageChanges(source, Uint32Array.of(1, 2), waiting);
  expect(history.head?.after).toBe((await scan(codec, source, waiting)).databaseChecksum);
  source.release();
  await commit({ give: "on" });
  expect(history.head?.txid).toBe(toTxid(5));
});

test("header times only grow, also when the clock is set back", async () => {
  let nowMs = 1_700_000_000_000;
  await using begun = await begin({ ...systemClock, nowMs: () => nowMs });
  const { app, capture, staging, history } = begun;
  const times = [history.head?.timestampMs];
  for (const stepMs of [5_000, -86_400_000, 10, 86_400_000, -1]) {
    nowMs += stepMs;
    await app.exec("INSERT INTO t VALUES (1)");
    capture.capture();
    const batch = capture.takeBatch();
    if (batch === undefined) throw new Error("a batch");
    const file = await history.stageBatch(batch, waiting);
    batch.release();
    times.push((await staging.readHeader(file)).timestampMs);
  }
  expect(times.map((ms) => (ms ?? 0) - 1_700_000_000_000)).toEqual([
    0, 5_000, 5_001, 5_002, 5_010, 5_011,
  ]);
});
