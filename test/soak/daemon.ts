// `headwater replicate` of the soak with its configuration file: started, told, killed and started again as its users do.
import { writeFileSync } from "node:fs";
import type { Child } from "../support/children.ts";
import { headwater } from "../support/headwater.ts";
import { runCommand } from "../support/daemon.ts";

/** A line of its log. */
interface LogLine {
  readonly level: string;
  readonly msg: string;
}

export class SoakDaemon implements AsyncDisposable {
  readonly config: string;
  /** Warnings and errors of all runs, by event. */
  readonly warnings = new Map<string, number>();
  readonly #onEnd: (error: Error) => void;
  #child: Child | undefined;

  /** `onEnd` gets the news that it has ended by itself. */
  constructor(config: string, onEnd: (error: Error) => void) {
    this.config = config;
    this.#onEnd = onEnd;
  }

  /** Of the process that runs; `undefined` between two. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Unless it has said that `addr` does nothing. */
  get servesMetrics(): boolean {
    const lines = this.#child?.lines ?? [];
    return !lines.some((line) => isEvent(line, "config.remark") && /\baddr\b/u.test(line));
  }

  /** Everything that was printed, also by those before. */
  readonly log: string[] = [];

  /** Resolves when it listens for orders. */
  async start(): Promise<void> {
    const child = headwater(["replicate", "-config", this.config]);
    this.#child = child;
    void this.#watch(child);
    await child.line((line) => isEvent(line, "control.listening"));
  }

  /** As a crash of the machine would, but for the disk. */
  async kill(): Promise<void> {
    await this.#take()?.end("SIGKILL");
  }

  /** In order; throws unless it ends with 0. */
  async stop(): Promise<void> {
    const child = this.#take();
    if (child === undefined) return;
    const { code, signal } = await child.end("SIGTERM");
    if (code !== 0)
      throw new Error(`headwater ended with ${code ?? signal} at SIGTERM:\n${child.stderr}`);
  }

  /** Gives it another configuration file and waits until it has taken it. */
  async reload(text: string): Promise<void> {
    writeFileSync(this.config, text);
    const child = this.#child;
    const from = child?.lines.length;
    child?.signal("SIGHUP");
    const line = await child?.line(
      (one) => isEvent(one, "config.reloaded") || isEvent(one, "config.not-reloaded"),
      from,
    );
    if (line?.includes("config.not-reloaded") === true)
      throw new Error(`SIGHUP: the configuration was refused: ${line}`);
  }

  /** A command through the socket of the configuration file. Throws with what it said if it fails. */
  async command(
    name: string,
    ...args: readonly string[]
  ): Promise<Readonly<Record<string, unknown>>> {
    const { code, stdout, stderr } = await runCommand(
      name,
      "-config",
      this.config,
      "-json",
      ...args,
    );
    if (code !== 0) throw new Error(`headwater ${name} ${args.join(" ")}: ${stderr}`);
    return JSON.parse(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #take(): Child | undefined {
    const child = this.#child;
    this.#child = undefined;
    return child;
  }

  async #watch(child: Child): Promise<void> {
    const { code, signal } = await child.exited;
    this.log.push(...child.lines, child.stderr);
    for (const line of child.lines) {
      const { level, msg } = parseLine(line);
      if (level === "WARN" || level === "ERROR")
        this.warnings.set(msg, (this.warnings.get(msg) ?? 0) + 1);
    }
    if (this.#child === child)
      this.#onEnd(new Error(`headwater ended by itself with ${code ?? signal}:\n${child.stderr}`));
  }
}

function isEvent(line: string, name: string): boolean {
  return line.includes(`"msg":"${name}"`);
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line);
  } catch {
    return { level: "ERROR", msg: "a line that is no JSON" };
  }
}
