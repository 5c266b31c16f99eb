// An application writes, an engine replicates, followers are killed again and again, and readers in other processes, with
// another SQLite library too, look at the output all the while: whatever they see is a whole state, and never an older one.
import { setTimeout as sleep } from "node:timers/promises";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { checkLedger } from "../support/check-ledger.ts";
import { engineReady, startEngineChild, stopEngine, syncEngine } from "../support/engine.ts";
import { bytesOf, patchedLike } from "../support/follow.ts";
import { startFollowChild, stopFollower } from "../support/follow-scene.ts";
import { pauseLoad, startLoad } from "../support/load.ts";
import { SqliteProcess, hasPython } from "../support/sqlite-process.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { until } from "../support/until.ts";
import { restore } from "../../src/node/restore/restore.ts";

export interface FollowLiveOptions {
  readonly kills: number;
  readonly seed: number;
  /** It goes on until each reader has seen so many states. */
  readonly states: number;
}

/** A program that reads the output. */
interface Reader {
  readonly runtime: "node" | "python";
  /** States that it saw, each once. */
  states: number;
}

/** What a reader asks for, in one statement and so of one state. */
const question = `
  SELECT (SELECT max(seq) FROM ledger) AS seq, (SELECT count(*) FROM ledger) AS count,
    (SELECT document_count FROM ledger ORDER BY seq DESC LIMIT 1) AS documentCount,
    (SELECT document_bytes FROM ledger ORDER BY seq DESC LIMIT 1) AS documentBytes,
    (SELECT count(*) FROM documents) AS foundCount,
    (SELECT coalesce(sum(length(body)), 0) FROM documents INDEXED BY documents_by_author WHERE author >= '') AS foundBytes`;

/** Throws if a reader sees anything that no transaction left. */
export async function runFollowLive({ kills, seed, states }: FollowLiveOptions): Promise<void> {
  using directory = temporaryDirectory();
  const random = createSeededRandom(seed);
  const [path, output] = [directory.file("app.db"), directory.file("followed.db")];
  const url = directory.url("replica");
  await using load = startLoad({ path, seed, commitsPerSecond: 100, rough: true, reportMs: 0 });
  await load.line((line) => line.startsWith("committed "));
  await using engine = startEngineChild({ path, replica: url, syncIntervalMs: 50, logs: false });
  await engineReady(engine);
  await syncEngine(engine);
  {
    await using first = startFollowChild({ url, output });
    await first.line((line) => line === "ready");
    await first.line((line) => line.startsWith("txid "));
  }
  const stop = new AbortController();
  const readers: Reader[] = [{ runtime: "node", states: 0 }];
  if (hasPython) readers.push({ runtime: "python", states: 0 });
  const reading = Promise.all(
    readers.map((reader) => readAgainAndAgain(reader, output, stop.signal)),
  );
  reading.catch(() => undefined);
  try {
    for (let kill = 0; kill < kills; kill++) {
      const atCall = random.float() < 0.7 ? 1 + Math.floor(random.float() * 100) : undefined;
      await using follower = startFollowChild({ url, output, killAtCall: atCall });
      const isUp = follower.line((line) => line === "ready");
      await Promise.race([follower.exited, isUp.catch(() => undefined)]);
      await Promise.race([follower.exited, sleep(random.float() * 500)]);
      await follower.end("SIGKILL");
    }
    await using last = startFollowChild({ url, output });
    const haveSeen = (): boolean => readers.every((reader) => reader.states >= states);
    await Promise.race([reading, until(haveSeen, 120_000)]);
    const seq = await pauseLoad(load);
    await syncEngine(engine);
    await until(async () => (await newestSeq(output)) === seq, 60_000);
    if ((await stopFollower(last)) !== 0) throw new Error(last.stderr);
    await stopEngine(engine);
  } finally {
    stop.abort();
  }
  await reading;
  checkLedger(output);
  const restored = directory.file("restored.db");
  await restore({ replica: url, output: restored });
  const found = bytesOf(output);
  if (Buffer.compare(found, patchedLike(bytesOf(restored), found)) !== 0)
    throw new Error("the output is not what restore gives");
}

async function readAgainAndAgain(self: Reader, path: string, signal: AbortSignal): Promise<void> {
  const { runtime } = self;
  await using reader = new SqliteProcess(path, runtime);
  let newest = 0;
  for (let i = 1; !signal.aborted; i++) {
    const [row] = await reader.all(question);
    const answer = row as Record<string, number>;
    const { seq = 0, count, documentCount, foundCount, documentBytes, foundBytes } = answer;
    if (count !== seq || documentCount !== foundCount || documentBytes !== foundBytes)
      throw new Error(`${runtime} saw ${JSON.stringify(answer)}`);
    if (seq < newest) throw new Error(`${runtime} saw transaction ${seq} after ${newest}`);
    if (seq > newest) self.states++;
    newest = seq;
    if (i % 10 === 0) {
      const [check] = await reader.all("PRAGMA integrity_check");
      if (check?.["integrity_check"] !== "ok") throw new Error(JSON.stringify(check));
    }
    // New connections meet what a dead follower left; those that stay have pages cached.
    if (i % 7 === 0) await reader.close();
    await sleep(5);
  }
}

async function newestSeq(path: string): Promise<number> {
  await using reader = new SqliteProcess(path);
  const [row] = await reader.all("SELECT max(seq) AS seq FROM ledger");
  return Number(row?.["seq"]);
}
