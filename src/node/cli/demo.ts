// `headwater demo`: the main job before one's eyes. A writer, a replication, two restores, and the proof that they are
// what they have to be. Everything happens in a temporary directory that is removed at the end.
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Command } from "commander";
import { formatBytes } from "../base/quantities.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { siblingModule } from "../base/sibling-module.ts";
import { replicate } from "../engine/replicate.ts";
import type { Replication } from "../engine/replicate.ts";
import { restore } from "../restore/restore.ts";
import type { CliContext } from "./command.ts";
import { formatDuration } from "./output.ts";
import { abortOnSignals } from "./signals.ts";
import { sourceHash } from "./source-image.ts";

/** How long the writer writes before and after the moment that is restored later. */
const firstPartMs = 5_000;
const secondPartMs = 6_000;
const redrawMs = 250;
const lineMs = 2_000;

interface Moment {
  readonly txid: Txid;
  readonly sha256: string;
  readonly commits: number;
}

export function demoCommand(context: CliContext): Command {
  return new Command("demo")
    .description("Replicate and restore a small database in a temporary directory, and prove both.")
    .action(async () => {
      const directory = await mkdtemp(join(tmpdir(), "headwater-demo-"));
      try {
        using interruption = abortOnSignals();
        const isProved = await new Demo(context, directory, interruption.signal).run();
        context.exitWith(isProved ? 0 : 1);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });
}

class Demo {
  readonly #context: CliContext;
  readonly #directory: string;
  readonly #signal: AbortSignal;
  readonly #path: string;
  readonly #replica: string;
  #commits = 0;

  constructor(context: CliContext, directory: string, signal: AbortSignal) {
    this.#context = context;
    this.#directory = directory;
    this.#signal = signal;
    this.#path = join(directory, "shop.db");
    this.#replica = pathToFileURL(join(directory, "replica")).href;
  }

  async run(): Promise<boolean> {
    this.#say(`A shop writes to ${this.#path}; Headwater replicates it to ${this.#replica}`);
    await using writer = this.#startWriter();
    await once(writer.child, "message", { signal: this.#signal });
    let moment: Moment;
    let latest: Moment;
    {
      await using replication = await replicate({
        path: this.#path,
        replica: this.#replica,
        signal: this.#signal,
      });
      await this.#watch(replication, firstPartMs);
      moment = await this.#record(writer.child, replication);
      this.#say(
        `sync() says: everything up to commit ${moment.commits} is durable as TXID ${formatTxid(moment.txid)}. ` +
          `The shop goes on.`,
      );
      writer.child.send("resume");
      await this.#watch(replication, secondPartMs);
      latest = await this.#record(writer.child, replication);
    }
    const isThen = await this.#restoreAndCompare(
      `TXID ${formatTxid(moment.txid)}`,
      moment,
      moment.txid,
    );
    const isNow = await this.#restoreAndCompare("the latest state", latest, undefined);
    if (isThen && isNow) {
      this.#say(`\nidentical: both restores, ${latest.commits} commits, byte for byte.\n`);
      this.#sayNext();
    }
    return isThen && isNow;
  }

  #startWriter(): { readonly child: ChildProcess } & AsyncDisposable {
    const child = fork(siblingModule(import.meta.url, "demo-writer"), [this.#path], {
      execArgv: [],
    });
    child.on("message", (message) => {
      if (typeof message === "object" && "commits" in message)
        this.#commits = Number(message.commits);
    });
    const ended = once(child, "exit");
    return {
      child,
      [Symbol.asyncDispose]: async () => {
        if (child.connected) child.disconnect();
        await ended;
      },
    };
  }

  /** Shows the state of replication for a while. */
  async #watch(replication: Replication, forMs: number): Promise<void> {
    const { isTerminal, inform } = this.#context;
    const stepMs = isTerminal ? redrawMs : lineMs;
    const startedMs = performance.now();
    while (performance.now() - startedMs < forMs) {
      await sleep(Math.min(stepMs, forMs), undefined, { signal: this.#signal });
      const line = await this.#statusLine(replication);
      if (isTerminal) inform(`\r\u001B[K${line}`);
      else this.#say(line);
    }
    if (isTerminal) inform("\r\u001B[K");
  }

  async #statusLine(replication: Replication): Promise<string> {
    const status = await replication.status();
    const lagMs =
      status.uploadedAtMs === undefined ? 0 : Math.max(0, Date.now() - status.uploadedAtMs);
    return (
      `TXID ${status.txid === undefined ? "-" : formatTxid(status.txid)}  ${status.transactions} commits  ` +
      `uploaded ${formatDuration(lagMs)} ago  ${formatBytes(status.uploadedBytes)} in the replica  ` +
      `WAL ${formatBytes(status.walSizeBytes)}`
    );
  }

  /** Pauses the writer, waits until all is durable, and takes the image that a restore must give. */
  async #record(writer: ChildProcess, replication: Replication): Promise<Moment> {
    writer.send("pause");
    await once(writer, "message", { signal: this.#signal });
    const { txid } = await replication.sync({ signal: this.#signal });
    return { txid, sha256: await sourceHash(this.#path), commits: this.#commits };
  }

  async #restoreAndCompare(what: string, moment: Moment, txid: Txid | undefined): Promise<boolean> {
    const output = join(this.#directory, `restored-${txid ?? "latest"}.db`);
    const { elapsedMs, files, sizeBytes } = await restore({
      replica: this.#replica,
      output,
      txid,
      integrityCheck: "full",
      signal: this.#signal,
    });
    const hash = createHash("sha256");
    await pipeline(createReadStream(output), hash);
    const isIdentical = hash.digest("hex") === moment.sha256;
    this.#say(
      `Restored ${what}: ${formatBytes(sizeBytes)} from ${files} files in ${formatDuration(elapsedMs)}, ` +
        (isIdentical
          ? "identical to the source at that moment"
          : "NOT what the source was at that moment"),
    );
    return isIdentical;
  }

  #sayNext(): void {
    this.#say(
      "With a database of your own:\n" +
        "  npx headwater replicate app.db file:///var/backups/app\n" +
        "  npx headwater replicate app.db s3://my-bucket/app\n" +
        "  npx headwater restore s3://my-bucket/app -o copy.db",
    );
  }

  #say(text: string): void {
    this.#context.print(`${text}\n`);
  }
}
