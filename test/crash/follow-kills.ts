// A follower dies before its calls to the file system in turn. Whoever opens the output next sees exactly one of the states
// that the replica holds, and the next follower goes on from it without fetching the whole database again.
import { cpSync, existsSync, readdirSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { SteppedFollower } from "../support/follow.ts";
import { FollowScene, followedTo, stopFollower } from "../support/follow-scene.ts";

export interface FollowKillsOptions {
  /** The TXID that the output is at, 0 = there is none, and the one that the followers get to. */
  readonly from: number;
  readonly to: number;
  /** The first call to die at, and every so many calls. */
  readonly first: number;
  readonly step: number;
}

export interface FollowKills {
  readonly deaths: number;
  /** TXIDs that were found after a death or the end; 0 = no output. */
  readonly seen: ReadonlySet<number>;
}

/** Dies at each kill point, each time from the same output. Throws if what is left is not what it must be. */
export async function killFollowers(options: FollowKillsOptions): Promise<FollowKills> {
  const { from, to, first, step } = options;
  using scene = new FollowScene();
  if (from > 0) {
    await scene.publish(1, from);
    await using follower = await SteppedFollower.open(scene.url, scene);
    await follower.catchUp();
  }
  const restart = scene.keepOutput();
  await scene.publish(from + 1, to);
  const seen = new Set<number>();
  for (let call = first, deaths = 0; ; call += step, deaths++) {
    restart();
    await using doomed = scene.follow({ killAtCall: call });
    const done = followedTo(doomed, to).then(() => stopFollower(doomed));
    done.catch(() => undefined);
    const { signal } = await doomed.exited;
    try {
      const left = seenByOthers(scene);
      seen.add(left);
      if (left !== from && left !== to) throw new Error(`the output is at TXID ${left}`);
      if (signal !== "SIGKILL") return { deaths, seen };
      await goOn(scene, { seen: left, to });
    } catch (error) {
      throw new Error(`killed before call ${call}`, { cause: error });
    }
  }
}

/** What a program sees that opens a copy of the output as the dead follower has left it. */
function seenByOthers(scene: FollowScene): number {
  if (!existsSync(scene.output)) return 0;
  const copy = scene.directory.file("copy.db");
  rmSync(`${copy}-journal`, { force: true });
  cpSync(scene.output, copy);
  if (existsSync(`${scene.output}-journal`)) cpSync(`${scene.output}-journal`, `${copy}-journal`);
  {
    using reader = new DatabaseSync(copy);
    const row = reader.prepare("PRAGMA integrity_check").get();
    if (row?.["integrity_check"] !== "ok") throw new Error(JSON.stringify(row));
  }
  return scene.stateOf(copy) ?? -1;
}

async function goOn(
  scene: FollowScene,
  { seen, to }: { readonly seen: number; readonly to: number },
): Promise<void> {
  await using next = await SteppedFollower.open(scene.url, scene);
  await next.catchUp();
  if (seen > 0 && next.events.includes("follow.healing"))
    throw new Error("it fetched the whole database");
  await next[Symbol.asyncDispose]();
  const left = readdirSync(scene.directory.file("out")).join();
  if (left !== "followed.db,followed.db-follow,followed.db-txid")
    throw new Error(`it left ${left}`);
  if (scene.stateOf() !== to) throw new Error(`the next follower made TXID ${scene.stateOf()}`);
}
