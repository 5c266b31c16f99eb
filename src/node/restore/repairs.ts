// What of a verified replica could be made anew from its other files: `headwater replicate` does it as soon as it meets the
// damage.
import type { Txid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { maxLevel } from "../../core/replica/layout.ts";
import { planFill, planRebuild } from "../../core/replica/repair.ts";
import type { FileFinding } from "./level-states.ts";

/** A file of levels 1 to 8 that is damaged or missing, and whether other files hold the same TXIDs. */
export interface Repair {
  readonly level: number;
  readonly from: Txid;
  readonly to: Txid;
  /** The damaged file; `undefined` for a hole in the level. */
  readonly damaged: ReplicaFile | undefined;
  /** What it can be made of; `undefined`: nothing. */
  readonly sources: readonly ReplicaFile[] | undefined;
}

/** One entry for each damaged file and each hole that can be filled, by level. */
export function findRepairs(findings: readonly Readonly<FileFinding>[]): readonly Repair[] {
  const sound = findings.filter(({ result }) => result !== "failed").map(({ file }) => file);
  const repairs: Repair[] = [];
  // What would be made is there for the next hole, and for the level above.
  const files = [...sound];
  for (let level = 1; level < maxLevel; level++) {
    for (const { file, result } of findings) {
      if (file.level !== level || result !== "failed") continue;
      const plans = planRebuild(files, file);
      const { minTxid: from, maxTxid: to } = file;
      const sources = plans?.flatMap(({ inputs }) => inputs);
      repairs.push({ level, from, to, damaged: file, sources });
      if (sources !== undefined) files.push(file);
    }
    for (let plan = planFill(files, level); plan !== undefined; plan = planFill(files, level)) {
      const [first] = plan.inputs;
      const last = plan.inputs.at(-1);
      if (first === undefined || last === undefined) break;
      const { minTxid: from } = first;
      const { maxTxid: to } = last;
      repairs.push({ level, from, to, damaged: undefined, sources: plan.inputs });
      files.push({ ...last, level, minTxid: from });
    }
  }
  return repairs;
}
