// Child processes of tests. Each is a bare Node (or another program) without the flags of the test runner, each is
// ended when its owner is disposed, and each line it prints can be waited for.
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
}

/** A running child. Disposing it kills it with SIGKILL if it still runs, and waits for its end. */
export class Child implements AsyncDisposable {
  readonly pid: number;
  readonly exited: Promise<ChildExit>;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #command: string;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  #stderr = "";
  #ended = false;

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.#command = [command, ...args].join(" ");
    this.#process = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
    });
    this.exited = this.#watch();
    // Only a program that cannot be started has none; its `error` event then fills `stderr`.
    this.pid = this.#process.pid ?? 0;
  }

  /** Everything printed on standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Every line printed on standard output so far. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** The newest line. */
  get lastLine(): string | undefined {
    return this.#lines.at(-1);
  }

  /** The first line, from index `from` on, that `matches`. Throws with the child's stderr if it ends without one. */
  async line(matches: (line: string) => boolean, from = 0): Promise<string> {
    for (let at = from; ;) {
      for (; at < this.#lines.length; at++) {
        const line = this.#lines[at] ?? "";
        if (matches(line)) return line;
      }
      if (this.#ended) throw new Error(`${this.#command} ended early:\n${this.#stderr}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
    }
  }

  /** Writes one line to its standard input. */
  send(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** Ends its standard input. */
  closeInput(): void {
    this.#process.stdin.end();
  }

  /** Reads nothing more of what it prints. */
  closeOutput(): void {
    this.#process.stdout.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#ended) this.#process.kill(signal);
  }

  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals = "SIGTERM"): Promise<ChildExit> {
    this.signal(signal);
    return this.exited;
  }

  /** Waits for the end; throws with its stderr unless it exits with 0. Returns its lines. */
  async success(): Promise<readonly string[]> {
    const { code, signal } = await this.exited;
    if (code !== 0) throw new Error(`${this.#command}: ${signal ?? code}\n${this.#stderr}`);
    return this.#lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }

  #watch(): Promise<ChildExit> {
    const { stdin, stdout, stderr } = this.#process;
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    createInterface({ input: stdout }).on("line", (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    // A child that has ended cannot be written to: the sender learns of it from `line` or `exited`.
    stdin.on("error", () => undefined);
    this.#process.on("error", (error) => {
      this.#stderr += error.message;
    });
    const { promise, resolve } = Promise.withResolvers<ChildExit>();
    this.#process.on("close", (code, signal) => {
      this.#ended = true;
      this.#wake();
      resolve({ code, signal });
    });
    return promise;
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** Starts a TypeScript module of this repository in a Node of its own; `argument` reaches it as JSON in `process.argv[2]`. */
export function startModule(module: string, argument: unknown, options: ChildOptions = {}): Child {
  return new Child(process.execPath, [module, JSON.stringify(argument)], options);
}
