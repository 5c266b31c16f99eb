// A large output whose replica can go another way, with a record of what its follower reads.
import { closeSync, openSync, readSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openCodec } from "../../src/core/codec/codec.ts";
import { litestreamLayout } from "../../src/core/replica/layout.ts";
import { listReplica } from "../../src/core/replica/catalog.ts";
import type { ObjectStore } from "../../src/core/store/object-store.ts";
import { writeChecksumFile } from "../../src/core/view/checksum-file.ts";
import { type Environment, systemEnvironment } from "../../src/node/restore/environment.ts";
import { CountedReplica } from "./counted-store.ts";
import { SteppedFollower } from "./follow.ts";
import { FollowScene } from "./follow-scene.ts";
import { type Fork, forkedStates, largeStart } from "./forked-history.ts";
import { type FileRange, type ReplicaHistory, ltxPath } from "./replica-builder.ts";
import { historyOf } from "./sqlite-history.ts";

/** The newest full image of `sceneWithImage`. */
export const image: FileRange = { level: 9, min: 1, max: 3 };
/** Of the whole database in a full image. */
export const imageBytes = 1_400_000;

/** The row of table t with that id gets another body, in one page. */
export function update(id: number): string {
  return `UPDATE t SET body = randomblob(3500) WHERE id = ${id}`;
}

export class HealingScene implements Disposable {
  /** Knows the states of the left side. */
  readonly scene: FollowScene;
  readonly fork: Fork;
  readonly right: ReplicaHistory;
  readonly counted = new CountedReplica();

  constructor({
    left = [],
    right = [],
    pageSize = 4096,
  }: {
    readonly left?: readonly string[];
    readonly right?: readonly string[];
    readonly pageSize?: number;
  } = {}) {
    this.fork = forkedStates({ common: largeStart, left, right }, pageSize);
    this.scene = new FollowScene(this.fork.left, pageSize);
    this.right = historyOf(this.fork.right, pageSize);
  }

  [Symbol.dispose](): void {
    this.scene[Symbol.dispose]();
  }

  /** Opens a follower and has it catch up. From then on it is counted what it reads. */
  async follow(): Promise<SteppedFollower> {
    const follower = await this.open();
    await follower.catchUp();
    this.counted.take();
    return follower;
  }

  /** The same, and then the left side goes on to its end, one TXID after the other. */
  async followToEnd(): Promise<SteppedFollower> {
    const follower = await this.follow();
    for (let txid = largeStart.length + 1; txid <= this.fork.left.length; txid++) {
      await this.scene.publish(txid);
      await follower.catchUp();
    }
    this.counted.take();
    return follower;
  }

  open(surroundings: Partial<Environment> = {}): Promise<SteppedFollower> {
    const { openReplica } = this.counted;
    return SteppedFollower.open(this.scene.url, this.scene, { openReplica, ...surroundings });
  }

  /** The files of some TXIDs of the right side take the place of those from `from` on. */
  async goAnotherWay(from: number, ranges: readonly FileRange[]): Promise<void> {
    for (let txid = from; txid <= this.fork.left.length; txid++) this.remove(single(txid));
    await this.right.writeFiles(this.scene.replicaPath, ranges);
  }

  remove(...ranges: readonly FileRange[]): void {
    for (const range of ranges) rmSync(ltxPath(this.scene.replicaPath, range));
  }

  /** Makes a checksum file for each file that is there. */
  async writeChecksumFiles(): Promise<void> {
    await using store: ObjectStore = await systemEnvironment().openReplica(this.scene.url, {});
    const codec = openCodec();
    for (const file of await listReplica(store, litestreamLayout, {})) {
      await writeChecksumFile(file, { store, codec });
    }
  }

  /** Paths of the checksum files. */
  checksumFiles(): readonly string[] {
    const directory = join(this.scene.replicaPath, "page-checksums");
    return readdirSync(directory, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".checksums"))
      .map((name) => join(directory, name));
  }

  /** Flips a bit in the middle of a page of the output. */
  damagePage(pgno: number): void {
    flipBit(this.scene.output, (pgno - 0.5) * this.scene.pageSize);
  }

  /** The TXID of the right side that the output is the exact state of. */
  async rightState(follower: SteppedFollower): Promise<number | undefined> {
    await follower[Symbol.asyncDispose]();
    return this.scene.stateOf(this.scene.output, this.fork.right);
  }
}

export function single(txid: number): FileRange {
  return { level: 0, min: txid, max: txid };
}

/** Flips a bit in a file that nobody has open with SQLite in this process, or has no lock on. */
export function flipBit(path: string, offset: number): void {
  const file = openSync(path, "r+");
  const byte = new Uint8Array(1);
  readSync(file, byte, 0, 1, offset);
  byte[0] = (byte[0] ?? 0) ^ 0x10;
  writeSync(file, byte, 0, 1, offset);
  closeSync(file);
}

/** A replica whose newest full image is of TXID 3. */
export async function sceneWithImage(
  options?: ConstructorParameters<typeof HealingScene>[0],
): Promise<HealingScene> {
  const healing = new HealingScene(options);
  const { scene } = healing;
  await scene.history.writeFiles(scene.replicaPath, [image]);
  await scene.publish(1, 3);
  return healing;
}
