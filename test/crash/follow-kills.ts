// A follower dies before its calls to the file system in turn. Whoever opens the output next sees exactly what it was before
// or what it has to be, and the next follower goes on from it without fetching the whole database again.
import { cpSync, existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { SteppedFollower } from "../support/follow.ts";
import { FollowScene, followedTo, stopFollower } from "../support/follow-scene.ts";
import { HealingScene, single, update } from "../support/healing-scene.ts";

export interface Turns {
  /** The first call to die at, and every so many calls. */
  readonly first: number;
  readonly step: number;
}

export interface FollowKills {
  readonly deaths: number;
  /** What was found after a death or the end. */
  readonly seen: ReadonlySet<"old" | "new">;
}

interface KilledChange {
  readonly scene: FollowScene;
  /** The output before; `undefined`: there is none. */
  readonly old: Uint8Array | undefined;
  readonly next: Uint8Array;
  /** The TXID of `next`. */
  readonly to: number;
  /** Brings the old output back. */
  readonly restart: () => void;
  /** The old output is not to be continued, so whoever meets it heals it. */
  readonly isHealed: boolean;
}

/** `from`: the TXID that the output is at, 0 = there is none. `to`: the one that the followers get to. */
export async function killFollowers({
  from,
  to,
  ...turns
}: Turns & { readonly from: number; readonly to: number }): Promise<FollowKills> {
  using scene = new FollowScene();
  if (from > 0) {
    await scene.publish(1, from);
    await using follower = await SteppedFollower.open(scene.url, scene);
    await follower.catchUp();
  }
  const restart = scene.keepOutput();
  await scene.publish(from + 1, to);
  const [old, next] = [scene.states[from - 1], scene.states[to - 1] ?? new Uint8Array(0)];
  return await dieInTurn({ scene, old, next, to, restart, isHealed: false }, turns);
}

/** Somebody has written to the output: its pages are fetched. */
export async function killHealing(turns: Turns): Promise<FollowKills> {
  using healing = new HealingScene();
  const { scene } = healing;
  await scene.history.writeFiles(scene.replicaPath, [{ level: 9, min: 1, max: 3 }]);
  const follower = await healing.follow();
  await follower[Symbol.asyncDispose]();
  {
    using db = new DatabaseSync(scene.output);
    db.exec(`${update(100)}; INSERT INTO t VALUES(9000, randomblob(20000))`);
  }
  const old = readFileSync(scene.output);
  const next = scene.states[2] ?? new Uint8Array(0);
  const restart = scene.keepOutput();
  return await dieInTurn({ scene, old, next, to: 3, restart, isHealed: true }, turns);
}

/** The replica has gone another way: the output goes back with it. */
export async function killGoingBack(turns: Turns): Promise<FollowKills> {
  using healing = new HealingScene({
    left: [update(60), "INSERT INTO t VALUES(9000, randomblob(50000))", update(80)],
    right: ["DELETE FROM t WHERE id > 390", update(120)],
  });
  const { scene, fork } = healing;
  await scene.history.writeFiles(scene.replicaPath, [{ level: 9, min: 1, max: 3 }]);
  await scene.publish(3, 6);
  const follower = await healing.follow();
  await follower[Symbol.asyncDispose]();
  const restart = scene.keepOutput();
  await healing.goAnotherWay(4, [single(4), single(5)]);
  const [old, next] = [fork.left[5], fork.right[4] ?? new Uint8Array(0)];
  return await dieInTurn({ scene, old, next, to: 5, restart, isHealed: true }, turns);
}

/** Dies at each kill point, each time from the same output. Throws if what is left is not what it must be. */
async function dieInTurn(change: KilledChange, { first, step }: Turns): Promise<FollowKills> {
  const { scene, restart, to } = change;
  const seen = new Set<"old" | "new">();
  for (let call = first, deaths = 0; ; call += step, deaths++) {
    restart();
    await using doomed = scene.follow({ killAtCall: call });
    const done = followedTo(doomed, to).then(() => stopFollower(doomed));
    done.catch(() => undefined);
    const { signal } = await doomed.exited;
    try {
      const left = seenByOthers(change);
      seen.add(left);
      if (signal !== "SIGKILL") return { deaths, seen };
      await goOn(change, left);
    } catch (error) {
      throw new Error(`killed before call ${call}`, { cause: error });
    }
  }
}

/** What a program sees that opens a copy of the output as the dead follower has left it. */
function seenByOthers({ scene, old, next }: KilledChange): "old" | "new" {
  if (!existsSync(scene.output)) {
    if (old !== undefined) throw new Error("the output is gone");
    return "old";
  }
  const copy = scene.directory.file("copy.db");
  rmSync(`${copy}-journal`, { force: true });
  cpSync(scene.output, copy);
  if (existsSync(`${scene.output}-journal`)) cpSync(`${scene.output}-journal`, `${copy}-journal`);
  {
    using reader = new DatabaseSync(copy);
    const row = reader.prepare("PRAGMA integrity_check").get();
    if (row?.["integrity_check"] !== "ok") throw new Error(JSON.stringify(row));
  }
  if (scene.stateOf(copy, [next]) !== undefined) return "new";
  if (old !== undefined && scene.stateOf(copy, [old]) !== undefined) return "old";
  throw new Error("the output is neither what it was nor what it has to be");
}

async function goOn(
  { scene, next: expected, old, isHealed }: KilledChange,
  seen: "old" | "new",
): Promise<void> {
  await using next = await SteppedFollower.open(scene.url, scene);
  await next.catchUp();
  const mayHeal = seen === "old" && (isHealed || old === undefined);
  if (!mayHeal && next.events.includes("follow.healing"))
    throw new Error("it fetched the whole database");
  if (next.events.includes("follow.pages-failed")) throw new Error("its pages did not do");
  await next[Symbol.asyncDispose]();
  const left = readdirSync(scene.directory.file("out")).join();
  if (left !== "followed.db,followed.db-follow,followed.db-txid")
    throw new Error(`it left ${left}`);
  if (scene.stateOf(scene.output, [expected]) === undefined)
    throw new Error("the next follower made something else");
}
