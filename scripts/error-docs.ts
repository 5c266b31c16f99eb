// Writes docs/errors.md from the table of error codes. test/tidy.test.ts keeps the two equal.
import { writeFile } from "node:fs/promises";
import { errorCodes } from "../src/core/base/error-codes.ts";
import type { Recovery } from "../src/core/base/errors.ts";

const recoveries = {
  retry: "the same call may work later; Headwater tries again by itself",
  resync: "Headwater compares the database with its page checksums and sends what differs",
  reset: "local state must be made anew; nothing that was committed is lost",
  fatal: "a person has to change something first",
} as const satisfies Record<Recovery, string>;

/** The whole text of docs/errors.md. */
export function errorDocs(): string {
  const lines = [
    "# Errors",
    "",
    "Every error that Headwater throws on purpose is a `HeadwaterError` with one of the codes below in `code`, facts in",
    "`data`, and what can be done in `recovery`. The message says what is wrong, where, and what to do next.",
    "",
    "This page is written by `npm run docs:errors` from `src/core/base/error-codes.ts`.",
    "",
    ...Object.entries(recoveries).map(([name, meaning]) => `- \`${name}\`: ${meaning}.`),
  ];
  let area = "";
  for (const [code, { recovery, means, next }] of Object.entries(errorCodes)) {
    const [codeArea = ""] = code.split("/");
    if (codeArea !== area) {
      area = codeArea;
      lines.push("", `## ${area}`);
    }
    lines.push("", `### ${code}`, "", means, "", `Next: ${next} (\`${recovery}\`)`);
  }
  return `${lines.join("\n")}\n`;
}

if (import.meta.main) {
  await writeFile(new URL("../docs/errors.md", import.meta.url), errorDocs());
}
