// A process dies before its calls to the file system in turn, while it makes local copies. The next one takes over a whole copy, or
// makes another, and never one that the dead process was writing.
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startModule } from "../support/children.ts";
import { openCopies } from "../support/copies.ts";
import { FollowScene } from "../support/follow-scene.ts";
import type { HydrateChildOptions } from "../support/hydrate-child.ts";
import { ltxPath } from "../support/replica-builder.ts";

const module = fileURLToPath(new URL("../support/hydrate-child.ts", import.meta.url));

export interface HydrateKillsOptions {
  /** The TXID that the copy is at, 0 = there is none, and those that the process goes through. */
  readonly from: number;
  readonly targets: readonly number[];
  /** The first call to die at, and every so many calls. */
  readonly first: number;
  readonly step: number;
}

/** Dies at each kill point, each time from the same copies; returns how often. Throws if what is left is not right. */
export async function killHydrators(options: HydrateKillsOptions): Promise<number> {
  const { from, targets, first, step } = options;
  const last = targets.at(-1) ?? from;
  using scene = new FollowScene();
  await scene.publish(1, last);
  if (from > 0) {
    await using opened = await openCopies(scene.url, scene.output);
    await opened.to(from);
  }
  const restart = scene.keepOutput();
  for (let call = first, deaths = 0; ; call += step, deaths++) {
    restart();
    const child: HydrateChildOptions = {
      url: scene.url,
      path: scene.output,
      targets,
      killAtCall: call,
    };
    await using doomed = startModule(module, child);
    const { signal } = await doomed.exited;
    try {
      await goOn(scene, { isFirst: from === 0, last });
    } catch (error) {
      throw new Error(`killed before call ${call}`, { cause: error });
    }
    if (signal !== "SIGKILL") return deaths;
  }
}

/** What was whole is taken over: without the first file no copy could be made from nothing. */
async function goOn(
  scene: FollowScene,
  { isFirst, last }: { readonly isFirst: boolean; readonly last: number },
): Promise<void> {
  const image = ltxPath(scene.replicaPath, { level: 0, min: 1, max: 1 });
  if (!isFirst) rmSync(image);
  await using next = await openCopies(scene.url, scene.output);
  await next.to(last);
  const path = next.copies.newest?.path;
  if (scene.stateOf(path) !== last) throw new Error(`the copy is at TXID ${scene.stateOf(path)}`);
  if (!isFirst) await scene.publish(1);
}
