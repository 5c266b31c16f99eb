// `headwater follow`, and `restore -f`: keep a local database at the newest state of a replica until told to stop. The
// follower runs in this process: it opens the output and nothing else, so no second SQLite library can disturb its locks.
import { Command } from "commander";
import { hasCode } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { systemClock } from "../base/clock.ts";
import { localPath } from "../base/local-path.ts";
import { followDefaults, resolveFollowOptions } from "../follow/follow-options.ts";
import type { FollowStatus } from "../follow/follow-options.ts";
import { startFollower } from "../follow/running-follower.ts";
import { systemEnvironment } from "../restore/environment.ts";
import type { IntegrityCheck } from "../restore/sqlite-process.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { createLineLogger } from "./line-logger.ts";
import { formatTime } from "./output.ts";
import { Progress } from "./progress.ts";
import { type PushFlags, addPushFlag, pushTokenOf } from "./replica-source.ts";
import { logLevelOf, logLevels } from "./replicate-steps.ts";
import { StopSignals } from "./signals.ts";
import { type Source, replicaKind, resolveSource } from "./sources.ts";
import { parseChoiceFlag, parseCountFlag, parseDurationFlag, usage } from "./values.ts";

interface FollowFlags extends ConfigFlags, PushFlags {
  readonly output?: string;
  readonly followInterval: string;
  readonly parallelism: string;
  readonly integrityCheck: string;
  readonly ifReplicaExists?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly logLevel?: string;
}

const integrityChecks = ["none", "quick", "full"] as const;

/** Default of `-follow-interval`, as Litestream's. */
export const defaultFollowInterval = "1s";

/** Follows until SIGINT or SIGTERM. */
export function followCommand(context: CliContext): Command {
  const command = new Command("follow")
    .description(
      "Keep a local SQLite database at the newest state of a replica, under its readers, until interrupted.",
    )
    .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
    .requiredOption("-o, --output <path>", "the database to keep up to date; made if it is missing")
    .option(
      "--follow-interval <duration>",
      "look for news this often; up to ten times as long while there are none",
      defaultFollowInterval,
    );
  addPushFlag(command, "also follow the primary")
    .option("--parallelism <n>", "requests at once", String(followDefaults.parallelism))
    .option(
      "--integrity-check <kind>",
      "SQLite's own check of the first state: none, quick, full",
      "none",
    )
    .option("--if-replica-exists", "do nothing, successfully, if there is no backup")
    .option("--force", "replace an existing database that was not made by following")
    .option("--json", "print each new TXID as a line of JSON; the log goes to standard error")
    .option("--log-level <level>", `one of ${logLevels.join(", ")}`);
  return addConfigFlags(command).action(async (text: string, flags: FollowFlags) => {
    const source = await resolveSource(text, flags, context);
    if (flags.output === undefined || flags.output === "") throw usage("-o must be a path.");
    const level = logLevelOf(flags, context.environment);
    await runFollow(context, {
      source,
      output: localPath(flags.output),
      interval: flags.followInterval,
      push: flags.push,
      pushToken: pushTokenOf(context),
      integrityCheck: parseChoiceFlag("integrity-check", integrityChecks, flags.integrityCheck),
      parallelism: parseCountFlag("parallelism", flags.parallelism),
      force: flags.force === true,
      json: flags.json === true,
      ifReplicaExists: flags.ifReplicaExists === true,
      level,
    });
  });
}

export interface FollowRequest {
  readonly source: Source;
  /** Absolute. */
  readonly output: string;
  /** As it was given. */
  readonly interval: string;
  readonly push?: string | undefined;
  readonly pushToken?: string | undefined;
  readonly integrityCheck: IntegrityCheck;
  readonly parallelism: number;
  readonly force: boolean;
  readonly json: boolean;
  readonly ifReplicaExists: boolean;
  /** The least level of events that is printed. */
  readonly level: string;
}

/** Follows until the first SIGINT or SIGTERM. */
export async function runFollow(context: CliContext, request: FollowRequest): Promise<void> {
  const { source, output, json, level, interval, ...options } = request;
  const { url, secrets } = source;
  const intervalMs = parseDurationFlag("follow-interval", interval);
  if (intervalMs === 0) throw usage("-follow-interval must be above 0.");
  const logger = createLineLogger(json ? context.inform : context.print, { level });
  const names = { db_path: output, replica: replicaKind(url) };
  using signals = new StopSignals();
  using progress = new Progress(context, systemClock);
  const lines = new StatusLines((record) => {
    if (json) context.print(`${JSON.stringify({ ...names, ...record })}\n`);
  });
  try {
    await using follower = await startFollower(
      resolveFollowOptions(url, { ...options, output, intervalMs, secrets }),
      systemEnvironment(logger),
      {
        signal: signals.first,
        onStatus: (status) => lines.show(status),
        onBytes: (doneBytes, totalBytes) =>
          progress.update({ label: `fetching ${output}`, doneBytes, totalBytes }),
      },
    );
    progress[Symbol.dispose]();
    const status = follower.status();
    if (status !== undefined) lines.show(status);
    await Promise.race([signals.received(), follower.ended()]);
  } catch (error) {
    if (!request.ifReplicaExists || !hasCode(error, "replica/empty")) throw error;
    context.inform(`There is no backup at ${url}; nothing to do.\n`);
  }
}

/** A record for each status that says something new. */
class StatusLines {
  readonly #print: (record: object) => void;
  #last = "";

  constructor(print: (record: object) => void) {
    this.#print = print;
  }

  show({ txid, timestampMs, lagMs, lastError }: FollowStatus): void {
    const record = {
      txid: formatTxid(txid),
      timestamp: formatTime(timestampMs),
      ...(lagMs === undefined ? {} : { lag_ms: lagMs }),
      ...(lastError === undefined ? {} : { error: lastError }),
    };
    const text = JSON.stringify(record);
    if (text !== this.#last) this.#print(record);
    this.#last = text;
  }
}
