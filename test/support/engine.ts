// Starting engines for tests, and proving what they left in a replica.
import { fileURLToPath } from "node:url";
import type { ReplicateOptions } from "../../src/node/engine/engine-options.ts";
import type { StoreFault, StoreOperation } from "../../src/core/testing/faulty-store.ts";
import type { EngineStatus } from "../../src/node/engine/engine-status.ts";
import { startModule } from "./children.ts";
import type { Child } from "./children.ts";

export interface EngineChildOptions extends ReplicateOptions {
  readonly once?: boolean | undefined;
  /** Dies by SIGKILL right before its n-th call to the file system, counted from 1. */
  readonly killAtCall?: number | undefined;
  /** Dies right before the first call whose name and path contain this. */
  readonly killBefore?: string | undefined;
  /** Calls from `fromCall` on whose name and path contain `match` fail with `code`, within `calls` calls. */
  readonly fault?: {
    readonly fromCall: number;
    readonly calls: number;
    readonly match: string;
    readonly code: string;
  };
  readonly printCalls?: boolean | undefined;
  /** Somebody follows by push from when it is ready: prints `pushed <txid> <SHA-256 of the file>`, `told <durable txid>`. */
  readonly followed?: boolean | undefined;
  readonly logs?: boolean | undefined;
  readonly shutdownMs?: number | undefined;
  /** From the start, the stores whose URL contains it are away. */
  readonly storeDown?: string | undefined;
  readonly throttleBytesPerSecond?: number | undefined;
  /** The engine's clock runs so many times faster: trust, quiet times and pauses between retries are shorter. */
  readonly clockSpeed?: number | undefined;
  /** The store fails so from its `fromCall`-th call on, for `calls` calls; also between `fail` and `heal` on the input. */
  readonly storeFault?:
    | {
        readonly fault: StoreFault;
        readonly operations: readonly StoreOperation[];
        readonly fromCall: number;
        readonly calls: number;
      }
    | undefined;
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

/** What the engine says about itself; 64-bit numbers as text. */
export async function engineStatus(child: Child): Promise<{
  readonly [Name in keyof EngineStatus]: EngineStatus[Name] extends bigint
    ? string
    : EngineStatus[Name];
}> {
  const from = child.lines.length;
  child.send("status");
  const line = await child.line((text) => text.startsWith("status "), from);
  return JSON.parse(line.slice("status ".length));
}

/** Waits until the engine has logged `event` (after line `from`); returns its fields. */
export async function loggedEvent(
  child: Child,
  event: string,
  from = 0,
): Promise<Readonly<Record<string, unknown>>> {
  const line = await child.line((text) => text.split(" ")[2] === event, from);
  return JSON.parse(line.split(" ").slice(3).join(" "));
}

/** Waits until the engine has ended by itself; returns its `failed` line: code and message. */
export async function engineFailure(child: Child): Promise<string> {
  await child.exited;
  return child.lines.findLast((line) => line.startsWith("failed ")) ?? child.stderr;
}

/** Sends a command that breaks or mends something and waits until it is done. */
export async function tellEngine(
  child: Child,
  command: "fail" | `fail ${string}` | "heal" | "mend" | `break ${string}`,
): Promise<void> {
  const from = child.lines.length;
  child.send(command);
  await child.line((text) => text === command.split(" ")[0], from);
}

/** Does `work` again and again until `done` is settled; throws what it throws. */
export async function repeatUntil(
  done: Promise<unknown>,
  work: () => Promise<unknown>,
): Promise<void> {
  const state = { isDone: false };
  const end = (): void => {
    state.isDone = true;
  };
  done.then(end, end);
  while (!state.isDone) await work();
  await done;
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
