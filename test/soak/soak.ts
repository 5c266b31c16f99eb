// `npm run soak -- [minutes] [-json] [-no-kill]`: a soak of 10 minutes unless told otherwise. HEADWATER_SEED repeats the
// choices of a run, as far as the machine's own timing lets it. Exits with 1 after a failure and keeps its directory.
import { missingForCeph } from "../support/ceph.ts";
import { printReport } from "./report.ts";
import { runSoak } from "./run.ts";

const args = process.argv.slice(2);
const flags = new Set(
  args.filter((text) => text.startsWith("-")).map((text) => text.replace(/^-+/u, "")),
);
const minutes = Number(args.find((text) => !text.startsWith("-")) ?? "10");
const unknown = [...flags].filter((flag) => flag !== "json" && flag !== "no-kill");
if (!(minutes > 0) || unknown.length > 0) {
  console.error("Usage: npm run soak -- [minutes] [-json] [-no-kill]");
  process.exit(2);
}
const missing = missingForCeph();
if (missing !== undefined) {
  console.error(`The soak needs S3. ${missing}`);
  process.exit(1);
}
const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interruption.abort());
const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);
const startMs = performance.now();
const report = await runSoak({
  minutes,
  seed,
  signal: interruption.signal,
  kills: !flags.has("no-kill"),
  report: (line) => {
    console.error(`${((performance.now() - startMs) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  },
});
if (flags.has("json")) console.log(JSON.stringify(report, undefined, 2));
else printReport(report);
process.exitCode = report.failures.length === 0 ? 0 : 1;
