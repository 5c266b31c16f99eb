// `headwater shell`: SQL on a replica, line by line, with a history, at any moment.
import { readFile, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Interface } from "node:readline";
import { Command } from "commander";
import { messageOf, platformCode } from "../../core/base/errors.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import { printResults } from "./query.ts";
import { addMomentFlags, addPushFlag } from "./replica-source.ts";
import { isShellCommand, runShellCommand } from "./shell-commands.ts";
import type { ShellFlags } from "./shell-session.ts";
import { ShellSession } from "./shell-session.ts";

/** Lines that are remembered from one shell to the next. */
const historyLines = 1000;

/** Reads statements and dot-commands until the input ends. */
export function shellCommand(context: CliContext): Command {
  const command = new Command("shell")
    .description("Open a replica and run the SQL that is typed. Commands begin with a dot: .help")
    .argument("<source>", "URL of a replica, its directory, or path of a replicated database");
  addMomentFlags(command);
  addPushFlag(
    command,
    "also follow the primary: statements see its commits after milliseconds",
  ).option(
    "--hydrate <path>",
    "make a local copy there meanwhile, on which queries run as soon as it is whole; it stays for the next time",
  );
  return addConfigFlags(command).action(async (source: string, flags: ShellFlags) => {
    await using session = await ShellSession.open(context, source, flags);
    await new Shell(context, session).run();
  });
}

class Shell {
  readonly #context: CliContext;
  readonly #session: ShellSession;
  readonly #historyPath: string;
  #lines: string[] = [];
  #running: AbortController | undefined;
  #hasFailed = false;

  constructor(context: CliContext, session: ShellSession) {
    this.#context = context;
    this.#session = session;
    this.#historyPath =
      context.environment["HEADWATER_HISTORY"] ?? join(homedir(), ".headwater_history");
  }

  async run(): Promise<void> {
    const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
    const input = createInterface({
      input: process.stdin,
      ...(isTerminal && {
        output: process.stdout,
        history: await this.#readHistory(),
        historySize: historyLines,
      }),
    });
    let history: readonly string[] = [];
    input.on("history", (lines) => (history = lines));
    input.on("SIGINT", () => this.#interrupt(input));
    if (isTerminal) this.#context.print(`${this.#session.describe()} .help lists the commands.\n`);
    const prompt = (): void => {
      if (!isTerminal) return;
      input.setPrompt(this.#lines.length === 0 ? "headwater> " : "      ...> ");
      input.prompt();
    };
    try {
      prompt();
      for await (const line of input) {
        if (!(await this.#take(line))) break;
        if (this.#hasFailed && !isTerminal) break;
        prompt();
      }
      // What is left when the input ends is a statement without its semicolon.
      if (this.#lines.length > 0) await this.#execute();
    } finally {
      input.close();
      if (isTerminal && history.length > 0) await this.#writeHistory(history);
    }
    if (this.#hasFailed && !isTerminal) this.#context.exitWith(1);
  }

  /** `false`: that was the end. */
  async #take(line: string): Promise<boolean> {
    if (this.#lines.length === 0 && isShellCommand(line)) {
      const tools = { context: this.#context, session: this.#session };
      return this.#do((signal) => runShellCommand(line, { ...tools, signal }));
    }
    if (this.#lines.length === 0 && line.trim() === "") return true;
    this.#lines.push(line);
    return line.trimEnd().endsWith(";") ? this.#execute() : true;
  }

  async #execute(): Promise<boolean> {
    const sql = this.#lines.join("\n");
    this.#lines = [];
    return this.#do(async (signal) => {
      const { db, format } = this.#session;
      await printResults(this.#context, { db, sql, format, signal });
      return true;
    });
  }

  /** Runs it; what goes wrong is told and does not end the shell. */
  async #do(work: (signal: AbortSignal) => Promise<boolean>): Promise<boolean> {
    this.#running = new AbortController();
    try {
      return await work(this.#running.signal);
    } catch (error) {
      this.#hasFailed = true;
      this.#context.inform(`Error: ${messageOf(error)}\n`);
      return true;
    } finally {
      this.#running = undefined;
    }
  }

  /** Ctrl-C ends what is running, else forgets what has been typed. */
  #interrupt(input: Interface): void {
    if (this.#running !== undefined) {
      this.#running.abort(new Error("interrupted"));
      return;
    }
    this.#lines = [];
    input.write(null, { ctrl: true, name: "u" });
    this.#context.print("\n");
    input.setPrompt("headwater> ");
    input.prompt();
  }

  /** Newest first. */
  async #readHistory(): Promise<string[]> {
    try {
      const text = await readFile(this.#historyPath, "utf8");
      return text
        .split("\n")
        .filter((line) => line !== "")
        .toReversed();
    } catch (error) {
      if (platformCode(error) !== "ENOENT") this.#historyFailed(error);
      return [];
    }
  }

  async #writeHistory(newestFirst: readonly string[]): Promise<void> {
    const lines = newestFirst.slice(0, historyLines).toReversed();
    try {
      await writeFile(this.#historyPath, `${lines.join("\n")}\n`, { mode: 0o600 });
    } catch (error) {
      this.#historyFailed(error);
    }
  }

  #historyFailed(error: unknown): void {
    this.#context.inform(`Warning: the history ${this.#historyPath}: ${messageOf(error)}\n`);
  }
}
