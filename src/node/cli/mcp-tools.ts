// Headwater's commands as tools of its MCP server, with Litestream's names and arguments. Without a token they tell about
// the databases of this Headwater, and do nothing else.
import { z } from "zod";
import { Mutex } from "../../core/base/async.ts";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { parseMoment } from "../../core/base/moments.ts";
import { systemClock } from "../base/clock.ts";
import { localPath } from "../base/local-path.ts";
import type { Config } from "../engine/config/config.ts";
import type { ResolvedOptions } from "../engine/engine-options.ts";
import type { Fleet } from "../engine/fleet.ts";
import { restore } from "../restore/restore.ts";
import { mcpTool } from "../server/mcp.ts";
import type { McpTool } from "../server/mcp.ts";
import { urlWithoutSecrets } from "../store/open-store.ts";
import type { CliContext } from "./command.ts";
import { describeDatabases } from "./databases.ts";
import { describeFiles } from "./ltx.ts";
import { resetDatabase } from "./reset.ts";
import { describeResult } from "./restore-report.ts";
import { isReplicaUrl, resolveSource, sourceOfListed } from "./sources.ts";
import type { Source } from "./sources.ts";
import { describeStatus } from "./status.ts";
import { parseCountFlag, parseTxidFlag, usage } from "./values.ts";

export interface McpToolsContext {
  readonly config: Config;
  readonly fleet: Fleet;
  readonly version: string;
  readonly logger: Logger;
  readonly context: CliContext;
}

/** Of a long list the end is told, which is the newest. */
const mostLines = 500;

const configInput = z
  .string()
  .optional()
  .describe("Configuration file. It must be the one that this Headwater runs with.");
const pathInput = z.string().min(1).describe("Path of a database, or URL of a replica.");

/** The tools of this Headwater. */
export function mcpTools(world: McpToolsContext): readonly McpTool[] {
  return [...questionTools(world), restoreTool(world), resetTool(world)];
}

function questionTools(world: McpToolsContext): readonly McpTool[] {
  const { version, logger } = world;
  const withConfig = z.object({ config: configInput });
  return [
    mcpTool(
      "litestream_version",
      { description: "The version of Headwater.", input: z.object({}), changes: false },
      () => Promise.resolve(`${version}\n`),
    ),
    mcpTool(
      "litestream_databases",
      {
        description: "The databases and the kinds of their replicas.",
        input: withConfig,
        changes: false,
      },
      async ({ config }) => {
        checkConfig(config, world);
        return describeDatabases(optionsOf(world));
      },
    ),
    mcpTool(
      "litestream_status",
      {
        description: "Local state of the databases, or of one: newest TXID, size of the WAL.",
        input: withConfig.extend({ path: z.string().optional().describe("Path of one database.") }),
        changes: false,
      },
      async ({ config, path }) => {
        checkConfig(config, world);
        return describeStatus(path === undefined ? optionsOf(world) : [known(path, world)]);
      },
    ),
    mcpTool(
      "litestream_ltx",
      {
        description: "The files of a replica, on all levels.",
        input: withConfig.extend({ path: pathInput }),
        changes: false,
      },
      async ({ config, path }, { signal }) => {
        checkConfig(config, world);
        return newestLines(await describeFiles(await sourceOf(path, world), { signal, logger }));
      },
    ),
    mcpTool(
      "litestream_info",
      {
        description: "A report: version, databases, their state and the files of their replicas.",
        input: withConfig,
        changes: false,
      },
      async ({ config }, { signal }) => {
        checkConfig(config, world);
        return describeAll(world, { signal });
      },
    ),
  ];
}

function restoreTool(world: McpToolsContext): McpTool {
  const oneAtATime = new Mutex();
  const input = z.object({
    path: pathInput,
    o: z.string().optional().describe("The database to make. It must not exist."),
    config: configInput,
    txid: z.string().optional().describe("Restore exactly this TXID, 16 hexadecimal digits."),
    timestamp: z.string().optional().describe("Restore the newest point before it, RFC 3339."),
    parallelism: z
      .union([z.string(), z.int()])
      .optional()
      .describe("Requests to the store at once."),
    if_db_not_exists: z.boolean().optional().describe("No error if the output exists."),
    if_replica_exists: z.boolean().optional().describe("No error if there is no backup."),
  });
  const description =
    "Restores a database from its replica into a new file. Never replaces a file.";
  return mcpTool(
    "litestream_restore",
    { description, input, changes: true },
    async (given, { signal }) => {
      needToken(world, "to restore");
      checkConfig(given.config, world);
      const { txid, timestamp, parallelism } = given;
      if (txid !== undefined && timestamp !== undefined)
        throw usage("Give one of txid and timestamp.");
      const source = await sourceOf(given.path, world);
      const output = given.o ?? source.databasePath;
      if (output === undefined) throw usage("Say where to restore to: o.");
      const options = {
        replica: source.url,
        secrets: source.secrets,
        output: localPath(output),
        txid: txid === undefined ? undefined : parseTxidFlag(txid),
        timestamp:
          timestamp === undefined
            ? undefined
            : parseMoment(timestamp, systemClock.nowMs(), "-timestamp"),
        parallelism:
          parallelism === undefined
            ? undefined
            : parseCountFlag("parallelism", String(parallelism)),
        logger: world.logger,
        signal,
      };
      try {
        return describeResult(await oneAtATime.run(() => restore(options), { signal }));
      } catch (error) {
        const isFine =
          (given.if_db_not_exists === true && hasCode(error, "restore/output-exists")) ||
          (given.if_replica_exists === true && hasCode(error, "replica/empty"));
        if (isFine) return `Nothing to do. ${error.message}\n`;
        if (!hasCode(error, "restore/output-exists")) throw error;
        throw usage(`${options.output} exists. This tool replaces nothing: give another o.`);
      }
    },
  );
}

function resetTool(world: McpToolsContext): McpTool {
  const input = z.object({
    path: z.string().min(1).describe("Path of the database. It must be stopped."),
    config: configInput,
  });
  const description =
    "Deletes the local state of a database that is not being replicated. Database and replica stay.";
  return mcpTool("litestream_reset", { description, input, changes: true }, async (given) => {
    needToken(world, "to reset");
    checkConfig(given.config, world);
    const { path, stateDir } = known(given.path, world);
    return resetDatabase(path, stateDir, { dryRun: false });
  });
}

async function describeAll(
  world: McpToolsContext,
  { signal }: { readonly signal: AbortSignal },
): Promise<string> {
  const { version, config, logger } = world;
  const databases = optionsOf(world);
  const parts = [
    `Headwater ${version}, configuration file ${config.path}\n`,
    await describeStatus(databases),
  ];
  for (const { path, replicas } of databases) {
    for (const { url, secrets } of replicas) {
      const source = { url, secrets, databasePath: path };
      const files = await describeFiles(source, { signal, logger });
      const name = replicas.length > 1 ? `${path}, ${urlWithoutSecrets(url)}` : path;
      parts.push(`${name}\n${newestLines(files)}`);
    }
  }
  return parts.join("\n");
}

function optionsOf({ fleet }: McpToolsContext): readonly ResolvedOptions[] {
  return fleet.databases.map(({ member }) => member.options);
}

function known(text: string, { fleet }: McpToolsContext): ResolvedOptions {
  const path = localPath(text);
  const database = fleet.get(path);
  if (database !== undefined) return database.member.options;
  throw new HeadwaterError(
    "control/unknown-database",
    `${path} is not among the databases of this Headwater. litestream_databases lists them.`,
    { data: { path } },
  );
}

/** What is not of this Headwater is looked at only with a token: the way to it needs this process's credentials. */
async function sourceOf(text: string, world: McpToolsContext): Promise<Source> {
  const listed = isReplicaUrl(text) ? undefined : world.fleet.get(localPath(text));
  if (listed !== undefined) return sourceOfListed(listed.member.options);
  needToken(world, "for anything but the databases of this Headwater");
  return resolveSource(text, {}, world.context);
}

/** Any other file would be read with this process's rights. */
function checkConfig(named: string | undefined, { config }: McpToolsContext): void {
  if (named === undefined || localPath(named) === localPath(config.path)) return;
  throw usage(`This Headwater runs with ${config.path}. Leave config out.`);
}

function needToken({ config }: McpToolsContext, what: string): void {
  if (config.mcp?.token !== undefined) return;
  throw usage(`A token is needed ${what}: set mcp-token in ${config.path}.`);
}

function newestLines(table: string): string {
  const [head = "", ...lines] = table.split("\n");
  if (lines.length <= mostLines) return table;
  const left = lines.slice(-mostLines);
  return [head, `(${lines.length - left.length} older files are left out)`, ...left].join("\n");
}
