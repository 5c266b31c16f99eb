// The stage of a test of the engine: a database, an application with a connection on it, a replica, and engines that
// come and go. Everything that was started is ended with the scene.
import { cpSync, existsSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { restore } from "../../src/node/restore/restore.ts";
import type { Child } from "./children.ts";
import { engineReady, startEngineChild, syncEngine } from "./engine.ts";
import type { EngineChildOptions } from "./engine.ts";
import { checkHistory } from "./history-check.ts";
import type { RestorePoint } from "./history-check.ts";
import { liveImage, sha256OfFile } from "./live-image.ts";
import { SqliteProcess } from "./sqlite-process.ts";
import { temporaryDirectory } from "./temporary.ts";
import type { TemporaryDirectory } from "./temporary.ts";

export class Scene implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly path: string;
  readonly replica: string;
  /** The application. */
  get app(): SqliteProcess {
    return (this.#app ??= new SqliteProcess(this.path));
  }

  #app: SqliteProcess | undefined;
  readonly #started: AsyncDisposable[] = [];
  #restored = 0;

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
    this.path = directory.file("app.db");
    this.replica = directory.url("replica");
  }

  /** A database in WAL mode with `transactions` transactions in its ledger. */
  static async open({ transactions = 20, pageSize = 4096 } = {}): Promise<Scene> {
    const scene = new Scene(temporaryDirectory());
    await scene.app.exec(`PRAGMA page_size=${pageSize}; PRAGMA journal_mode=WAL`);
    if (transactions > 0) await scene.app.ledger(transactions);
    return scene;
  }

  /** The files of another scene, which nobody may be at work on, in a directory of their own. */
  static copyOf(other: Scene): Scene {
    const scene = new Scene(temporaryDirectory());
    cpSync(other.directory.path, scene.directory.path, {
      recursive: true,
      preserveTimestamps: true,
    });
    return scene;
  }

  get stateDirectory(): string {
    return join(this.directory.path, `.${basename(this.path)}-headwater`);
  }

  /** The files staged in the state directory. */
  get staged(): readonly string[] {
    const directory = join(this.stateDirectory, "ltx", "0");
    return existsSync(directory)
      ? readdirSync(directory)
          .filter((name) => name.endsWith(".ltx"))
          .sort()
      : [];
  }

  /** The replica's directory. */
  get replicaPath(): string {
    return this.directory.file("replica");
  }

  /** Makes every request to the replica fail, until the function that is returned is called. */
  blockReplica(): () => void {
    const [path, away] = [this.replicaPath, `${this.replicaPath}.away`];
    renameSync(path, away);
    writeFileSync(path, "in the way");
    return () => {
      rmSync(path);
      renameSync(away, path);
    };
  }

  /** Starts an engine on the database and the replica, unless told otherwise. */
  engine(options: Partial<EngineChildOptions> = {}): Child {
    const engine = startEngineChild({ path: this.path, replica: this.replica, ...options });
    this.#started.push(engine);
    return engine;
  }

  /** Ends the application's process without closing its connection; the next request starts another. */
  async restartApp(): Promise<void> {
    await this.#app?.kill();
    this.#app = undefined;
  }

  /** The newest state of the replica as a file. */
  async restored(replica = this.replica): Promise<string> {
    const output = this.directory.file(`restored-${++this.#restored}.db`);
    await restore({ replica, output });
    return output;
  }

  /** Restores the newest state over the database, as after a disaster. */
  async restoreInPlace(): Promise<void> {
    await this.app.close();
    await restore({ replica: this.replica, output: this.path, force: true });
  }

  /** Waits until the newest restore point is the live database, without asking the engine for anything. */
  async untilReplicated(timeoutMs = 30_000): Promise<readonly RestorePoint[]> {
    const endsAtMs = performance.now() + timeoutMs;
    const { sha256 } = await liveImage(this.path);
    for (;;) {
      const points = await this.history({ mayGoBack: true }).catch(() => []);
      if (points.at(-1)?.sha256 === sha256) return points;
      if (performance.now() > endsAtMs) throw new Error("the database was not replicated in time");
      await sleep(50);
    }
  }

  /** Proves every restore point. */
  history({ mayGoBack = false } = {}): Promise<readonly RestorePoint[]> {
    return checkHistory(this.replica, { mayGoBack });
  }

  /** Proves every restore point, and that the newest is the live database byte for byte. */
  async prove({ path = this.path, replica = this.replica, mayGoBack = false } = {}): Promise<
    readonly RestorePoint[]
  > {
    const points = await checkHistory(replica, { mayGoBack });
    const { sha256 } = await liveImage(path);
    if (points.at(-1)?.sha256 !== sha256)
      throw new Error("the newest restore point is not the source");
    if ((await sha256OfFile(await this.restored(replica))) !== sha256)
      throw new Error("what restore gives is not the source");
    return points;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#started) await one[Symbol.asyncDispose]();
    await this.restartApp();
    this.directory[Symbol.dispose]();
  }
}

export interface ReplicatingScene extends AsyncDisposable {
  readonly scene: Scene;
  readonly engine: Child;
}

/**
 * A database that an engine replicates, with everything committed so far in the replica, `more` transactions among it.
 * With a faster clock an hour passes in moments.
 */
export async function openReplicating({
  clockSpeed = 1,
  more = 0,
} = {}): Promise<ReplicatingScene> {
  const scene = await Scene.open();
  const engine = scene.engine({ clockSpeed, syncIntervalMs: 0 });
  await engineReady(engine);
  if (more > 0) await scene.app.ledger(more);
  await syncEngine(engine);
  return { scene, engine, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
}

/** Every restore point of `before` is there as it was. */
export function expectKept(before: readonly RestorePoint[], after: readonly RestorePoint[]): void {
  const byTxid = new Map(after.map((point) => [point.txid, point]));
  for (const { txid, sha256 } of before) {
    if (byTxid.get(txid)?.sha256 !== sha256) throw new Error(`restore point ${txid} has changed`);
  }
}

/** Deletes a database with its WAL and wal-index. */
export function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
}
