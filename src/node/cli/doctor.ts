// `headwater doctor`: is everything as replicating needs it, and what is to be changed where it is not.
import { Command } from "commander";
import { systemClock, systemRandom } from "../base/clock.ts";
import { examine } from "../doctor/examine.ts";
import { counted, worstOf } from "../doctor/report.ts";
import type { Check, Report, Subject } from "../doctor/report.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { findPatients } from "./doctor-patients.ts";
import { createMessageLogger } from "./messages.ts";
import { formatJson } from "./output.ts";
import { abortOnSignals } from "./signals.ts";

interface DoctorFlags extends ConfigFlags {
  readonly json?: boolean;
}

/** What was found about one subject. */
interface Section extends Subject {
  readonly checks: Check[];
}

/** After Ctrl-C a store that hangs must not keep us for long. */
const removalBudgetMs = 15_000;

/** Widths of the columns: the longest result and the longest name. */
const resultWidth = "problem".length;
const nameWidth = "replace-if-unchanged".length;

/** Prints each check as it is made; exit code 1 if one of them is a problem. */
export function doctorCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("doctor")
      .description(
        "Probe databases and the stores of their replicas, and say what to change. Writes a few small objects to each " +
          "store and removes them; databases are only read.",
      )
      .argument(
        "[source]",
        "configuration file (.yml), URL or directory of a replica, or path of a database; default: the configuration file",
      )
      .option("--json", "print JSON"),
  ).action(async (source: string | undefined, flags: DoctorFlags) => {
    using interruption = abortOnSignals();
    const sections: Section[] = [];
    const reportOn = (subject: Subject): Report => {
      const section = { ...subject, checks: [] as Check[] };
      const gap = sections.length === 0 ? "" : "\n";
      sections.push(section);
      if (flags.json !== true) context.print(`${gap}${subject.kind} ${subject.name}\n`);
      return (check) => {
        section.checks.push(check);
        if (flags.json !== true) context.print(formatCheck(check));
      };
    };
    try {
      const patients = await findPatients(source, { flags, context, reportOn });
      const options = {
        clock: systemClock,
        random: systemRandom,
        fileSystem: nodeFileSystem,
        logger: createMessageLogger(context, systemClock),
        signal: interruption.signal,
        removalSignal: () => AbortSignal.timeout(removalBudgetMs),
      };
      await examine(patients, options, reportOn);
      if (flags.json !== true) context.print(`\n${summaryOf(sections)}\n`);
    } finally {
      // Also what was found before an interruption.
      if (flags.json === true && sections.length > 0) context.print(formatJson(toRecord(sections)));
    }
    if (resultOf(sections) === "problem") context.exitWith(1);
  });
}

function formatCheck({ name, result, found, change }: Check): string {
  const indent = " ".repeat(2 + resultWidth + 2 + nameWidth + 2);
  const text = found.trim().replaceAll(/\n\s*/gu, `\n${indent}`);
  const line = `  ${result.padEnd(resultWidth)}  ${name.padEnd(nameWidth)}  ${text}\n`;
  return change === undefined ? line : `${line}${indent}-> ${change}\n`;
}

function toRecord(sections: readonly Section[]): unknown {
  return {
    result: resultOf(sections),
    sections: sections.map(({ kind, name, checks }) => ({
      kind,
      name,
      result: worstOf(checks.map(({ result }) => result)),
      checks: checks.map((check) => ({
        name: check.name,
        result: check.result,
        found: check.found,
        change: check.change,
        values: check.values,
      })),
    })),
  };
}

function resultOf(sections: readonly Section[]): Check["result"] {
  return worstOf(sections.flatMap(({ checks }) => checks.map(({ result }) => result)));
}

function summaryOf(sections: readonly Section[]): string {
  const all = sections.flatMap(({ checks }) => checks);
  const count = (wanted: Check["result"], noun: string): string => {
    return counted(all.filter(({ result }) => result === wanted).length, noun);
  };
  return `${counted(all.length, "check")}: ${count("problem", "problem")}, ${count("warning", "warning")}, ${count("note", "note")}.`;
}
