// `headwater replicate` with a configuration file and a control socket, as its clients meet it: commands in processes of
// their own, and plain HTTP.
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import type { Child } from "./children.ts";
import { headwater } from "./headwater.ts";
import type { Scene } from "./scene.ts";
import type { TemporaryDirectory } from "./temporary.ts";

export interface DaemonOptions {
  /** At the top of the file. */
  readonly keys?: string | undefined;
  readonly databases: readonly { readonly path: string; readonly replica: string }[];
  /** Name of the file in the directory. */
  readonly name?: string | undefined;
  readonly socket?: string | undefined;
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line to its end. */
export async function runCommand(...args: readonly string[]): Promise<CommandResult> {
  await using child = headwater(args);
  const { code } = await child.exited;
  return { code, stdout: child.lines.join("\n"), stderr: child.stderr };
}

export class Daemon implements AsyncDisposable {
  readonly child: Child;
  readonly config: string;
  readonly socket: string;

  constructor(directory: TemporaryDirectory, options: DaemonOptions) {
    const { keys = "", databases, name = "headwater.yml" } = options;
    this.socket = options.socket ?? directory.file("hw.sock");
    this.config = directory.file(name);
    const entries = databases.map(
      ({ path, replica }) => `  - path: ${path}\n    replica:\n      url: ${replica}\n`,
    );
    const socket = `socket:\n  enabled: true\n  path: ${this.socket}\n`;
    writeFileSync(this.config, `${keys}${socket}dbs:\n${entries.join("")}`);
    this.child = headwater(["replicate", "-config", this.config]);
  }

  /** On the database of a scene. */
  static of(scene: Scene, keys = ""): Daemon {
    return new Daemon(scene.directory, { keys, databases: [scene] });
  }

  /** Waits for an event in its log. */
  event(name: string, containing = "", from = 0): Promise<string> {
    return this.child.line((line) => line.includes(` ${name} `) && line.includes(containing), from);
  }

  /** Waits until it listens and its databases replicate. */
  async ready(databases = 1): Promise<this> {
    await this.event("control.listening");
    for (let from = 0; databases > 0; databases--) {
      const line = await this.event("database.replicating", "", from);
      from = this.child.lines.indexOf(line, from) + 1;
    }
    return this;
  }

  /** A command that finds the socket in the configuration file. */
  command(name: string, ...args: readonly string[]): Promise<CommandResult> {
    return runCommand(name, "-config", this.config, ...args);
  }

  /** A request as any client would send it. */
  ask(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; answer: Record<string, unknown> }> {
    return askSocket(this.socket, method, path, body);
  }

  hasSocket(): boolean {
    return existsSync(this.socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
  }
}

async function askSocket(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; answer: Record<string, unknown> }> {
  const sent = request({ socketPath, method, path });
  sent.end(typeof body === "string" ? body : JSON.stringify(body));
  const [response] = await once(sent, "response");
  return { status: response.statusCode, answer: JSON.parse(await text(response)) };
}
