// `headwater version`.
import { Command } from "commander";
import { packageVersion } from "../base/package-version.ts";
import type { CliContext } from "./command.ts";
import { formatTable } from "./output.ts";

/** Prints the version; with `-verbose` also what it runs on. */
export function versionCommand(context: CliContext): Command {
  return new Command("version")
    .description("Print the version.")
    .option("--verbose", "also print the runtime, its SQLite and the codec in use")
    .action(async ({ verbose }: { readonly verbose?: boolean }) => {
      const version = await packageVersion();
      if (verbose !== true) {
        context.print(`${version}\n`);
        return;
      }
      const { openCodec } = await import("../../core/codec/codec.ts");
      context.print(
        formatTable([
          ["headwater", version],
          ["node", process.versions.node],
          ["sqlite", process.versions["sqlite"] ?? "unknown"],
          ["codec", openCodec().engine],
          ["platform", `${process.platform} ${process.arch}`],
        ]),
      );
    });
}
