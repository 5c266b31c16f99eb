// Gives orders to a running Headwater, or Litestream, over its control socket.
import { lstatSync } from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { HeadwaterError, hasCode, messageOf, platformCode } from "../../core/base/errors.ts";
import { isRecord } from "../../core/base/record.ts";
import { localPath } from "../base/local-path.ts";
import { defaultSocketPath } from "../engine/config/config-places.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags, findConfig } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { formatJson } from "./output.ts";
import { parseCountFlag, usage } from "./values.ts";

export interface ControlFlags extends ConfigFlags {
  readonly socket?: string;
  readonly timeout: string;
  readonly json?: boolean;
}

/** Adds `-socket`, `-timeout`, `-json` and the flags of a configuration file, which may name the socket. */
export function addControlFlags(command: Command, timeoutSeconds: number): Command {
  return addConfigFlags(
    command
      .option(
        "--socket <path>",
        `control socket; default: the one of the configuration file, or ${defaultSocketPath}`,
      )
      .option("--timeout <seconds>", "wait at most this long", String(timeoutSeconds))
      .option("--json", "print JSON"),
  );
}

/** The fields of an answer. */
export type Answer = Readonly<Record<string, unknown>>;

export interface ControlRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: Answer;
}

/** As the other side takes it; a timer of ours would overflow. */
const longestTimeoutSeconds = 24 * 60 * 60;

/** More than what the other side was given: its own message is the better one. */
const extraSeconds = 5;

/** A running Headwater as one command sees it. */
export interface ControlClient {
  readonly socket: string;
  readonly timeoutSeconds: number;
  /** Throws `control/unreachable` if nobody answers, `control/refused` with the reason for any answer but success. */
  readonly ask: (asked: ControlRequest) => Promise<Answer>;
}

/** Finds the socket; nothing is connected before something is asked. */
export async function openControlClient(
  flags: ControlFlags,
  context: CliContext,
): Promise<ControlClient> {
  const timeoutSeconds = parseCountFlag("timeout", flags.timeout);
  if (timeoutSeconds > longestTimeoutSeconds)
    throw usage(`-timeout must be at most ${longestTimeoutSeconds}, a day, not ${timeoutSeconds}.`);
  const socket =
    flags.socket === undefined ? await configuredSocket(flags, context) : localPath(flags.socket);
  return { socket, timeoutSeconds, ask: (asked) => ask(asked, socket, timeoutSeconds) };
}

/** Litestream's form: each field on a line of its own, or JSON. */
export function printAnswer(context: CliContext, { json }: ControlFlags, record: Answer): void {
  if (json === true) {
    context.print(formatJson(record));
    return;
  }
  for (const [name, value] of Object.entries(record)) {
    const shown = name === "status" ? String(value).replaceAll("_", " ") : String(value);
    context.print(`${name}: ${shown}\n`);
  }
}

async function configuredSocket(flags: ControlFlags, context: CliContext): Promise<string> {
  try {
    const config = await findConfig(flags, context);
    return config?.socket.path ?? defaultSocketPath;
  } catch (error) {
    // A mistake in a file that nobody has named must not stand in the way.
    if (flags.config !== undefined || !hasCode(error, "config/invalid")) throw error;
    context.inform(`Warning: the configuration file is not used.\n${error.message}\n`);
    return defaultSocketPath;
  }
}

async function ask(
  { method, path, body }: ControlRequest,
  socketPath: string,
  timeoutSeconds: number,
): Promise<Answer> {
  const deadline = AbortSignal.timeout((timeoutSeconds + extraSeconds) * 1000);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = { "content-type": "application/json" };
  let status = 0;
  let received: string;
  try {
    request({ socketPath, method, path, headers, signal: deadline })
      .on("response", resolve)
      .on("error", reject)
      .end(body === undefined ? undefined : JSON.stringify(body));
    const response = await promise;
    status = response.statusCode ?? 0;
    received = await text(response);
  } catch (error) {
    throw unreachable(socketPath, deadline.aborted ? timeoutSeconds : undefined, error);
  }
  const answer = parseAnswer(received);
  if (answer === undefined) {
    throw new HeadwaterError(
      "control/unreachable",
      `What listens on ${socketPath} is no Headwater: it answered ${JSON.stringify(received.slice(0, 100))}. Name the ` +
        "socket of headwater replicate with -socket.",
    );
  }
  if (status === 200) return answer;
  const problem = typeof answer["error"] === "string" ? answer["error"] : `HTTP status ${status}`;
  throw new HeadwaterError("control/refused", problem, { data: { status } });
}

function parseAnswer(received: string): Answer | undefined {
  try {
    const answer: unknown = JSON.parse(received);
    if (isRecord(answer)) return answer;
  } catch {
    // Not JSON.
  }
  return undefined;
}

function unreachable(
  socketPath: string,
  timedOutSeconds: number | undefined,
  cause: unknown,
): HeadwaterError {
  const fail = (message: string): HeadwaterError =>
    new HeadwaterError("control/unreachable", message, { data: { path: socketPath }, cause });
  if (timedOutSeconds !== undefined)
    return fail(`No answer on ${socketPath} within ${timedOutSeconds} s. Wait longer: -timeout.`);
  const remedy =
    "Start headwater replicate with a configuration file that has socket: enabled: true, or name its socket with " +
    "-socket.";
  const code = platformCode(cause);
  if (code === "EACCES") {
    return fail(
      `You may not use the control socket ${socketPath}. Call the command as the user of headwater replicate, or ` +
        "set socket.permissions in its configuration file.",
    );
  }
  const found = lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined) return fail(`There is no control socket ${socketPath}. ${remedy}`);
  if (!found.isSocket()) return fail(`${socketPath} is no socket. ${remedy}`);
  if (code === "ECONNREFUSED")
    return fail(`Nobody listens on ${socketPath}: its Headwater has ended. ${remedy}`);
  return fail(`No answer on ${socketPath}: ${messageOf(cause)}. ${remedy}`);
}
