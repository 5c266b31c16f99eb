// Configuration files of tests: read from text, and what was said about them.
import { writeFileSync } from "node:fs";
import { HeadwaterError } from "../../src/core/base/errors.ts";
import { readConfig } from "../../src/node/engine/config/config.ts";
import type { Config, ReadConfigOptions } from "../../src/node/engine/config/config.ts";
import { temporaryDirectory } from "./temporary.ts";

/** What the variables in the texts are. */
export const configEnvironment = { KEY_ID: "AKID", SECRET: "s3cr3t-value" };

/** Reads the text as a file. */
export function readConfigText(text: string, options: Partial<ReadConfigOptions> = {}): Config {
  using directory = temporaryDirectory();
  const path = directory.file("litestream.yml");
  writeFileSync(path, text);
  return readConfig(path, { environment: configEnvironment, ...options });
}

/** The lines of the error, without the file. */
export function mistakesOf(
  text: string,
  options: Partial<ReadConfigOptions> = {},
): readonly string[] {
  try {
    readConfigText(text, options);
  } catch (error) {
    if (!(error instanceof HeadwaterError) || error.code !== "config/invalid") throw error;
    return error.message.split("\n").map((line) => line.replace(/^.*litestream\.yml:/u, ""));
  }
  return [];
}

/** Without the file. */
export function warningsOf({ warnings: all }: Config): readonly string[] {
  return all.map(({ message }) => message.replace(/^.*litestream\.yml:/u, ""));
}

/** One database, whose replica may get more keys. */
export const oneDatabase = "dbs:\n  - path: /a.db\n    replica:\n      path: /backups/a\n";
