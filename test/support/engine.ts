// Starting engines for tests, and proving what they left in a replica.
import { fileURLToPath } from "node:url";
import type { ReplicateOptions } from "../../src/node/engine/engine-options.ts";
import { startModule } from "./children.ts";
import type { Child } from "./children.ts";

export interface EngineChildOptions extends ReplicateOptions {
  readonly once?: boolean | undefined;
  /** Dies by SIGKILL right before its n-th call to the file system, counted from 1. */
  readonly killAtCall?: number | undefined;
  /** Calls from `fromCall` on whose name and path contain `match` fail with `code`, within `calls` calls. */
  readonly fault?: {
    readonly fromCall: number;
    readonly calls: number;
    readonly match: string;
    readonly code: string;
  };
  readonly printCalls?: boolean | undefined;
  readonly logs?: boolean | undefined;
  readonly shutdownMs?: number | undefined;
  readonly throttleBytesPerSecond?: number | undefined;
}

/** Starts an engine as a child process. */
export function startEngineChild(options: EngineChildOptions): Child {
  return startModule(fileURLToPath(new URL("engine-child.ts", import.meta.url)), options);
}

let lastTag = 0;

/** Syncs and returns the TXID. Throws if the engine ends first. */
export async function syncEngine(child: Child): Promise<string> {
  const tag = `tag-${++lastTag}`;
  const from = child.lines.length;
  child.send(`sync ${tag}`);
  const line = await child.line((text) => text.startsWith(`synced ${tag} `), from);
  return line.slice(`synced ${tag} `.length);
}

/** Waits until the engine replicates. */
export async function engineReady(child: Child): Promise<void> {
  await child.line((text) => text === "ready");
}

/** Stops in order and returns the exit code. */
export async function stopEngine(child: Child): Promise<number | null> {
  child.send("stop");
  return (await child.exited).code;
}

/** The events that the engine has logged so far. */
export function eventsOf(child: Child): string[] {
  return child.lines
    .filter((line) => line.startsWith("log "))
    .map((line) => line.split(" ")[2] ?? "");
}
