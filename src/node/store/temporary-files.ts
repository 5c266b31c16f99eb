// Names of files that are being written, and the rule by which leftovers of dead writers are removed.
//
// A name says who writes: `.headwater-<machine>-<pid>-<started, ms>-<random>.tmp`. No lister takes it for an LTX
// file. A leftover is removed when
//   - it was started on this machine (same boot, same process-id namespace) by a process that is gone, or
//   - it was started more than a day ago and nothing was written to it for a day.
// Should both ever be wrong, the writer finds its file missing when it publishes it, fails, and tries again: no
// reader ever sees a part of an object.
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { Clock } from "../../core/base/clock.ts";
import { toHex } from "../../core/base/bytes.ts";
import { platformCode } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Random } from "../../core/base/random.ts";

const staleAfterMs = 24 * 3600 * 1000;
const pattern = /^\.headwater-([0-9a-f]{12})-(\d+)-(\d+)-[0-9a-f]{16}\.tmp$/;

/** Who writes: processes with the same `machine` see each other's process ids. */
export interface Writer {
  readonly machine: string;
  readonly pid: number;
  readonly isAlive: (pid: number) => boolean;
}

/** This process. */
export function thisWriter(): Writer {
  return { machine: machineId(), pid: process.pid, isAlive };
}

/** A name that no other writer uses, for a file in the directory where the object will be. */
export function temporaryName(
  writer: Writer,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): string {
  return `.headwater-${writer.machine}-${writer.pid}-${clock.nowMs()}-${toHex(random.bytes(8))}.tmp`;
}

export function isTemporaryName(name: string): boolean {
  return pattern.test(name);
}

/** Removes the leftovers in `directory` that the rule above calls dead. */
export async function sweepTemporaryFiles(
  directory: string,
  options: { readonly fileSystem: FileSystem; readonly writer: Writer; readonly clock: Clock },
): Promise<void> {
  const { fileSystem, writer, clock } = options;
  for (const name of (await fileSystem.list(directory)) ?? []) {
    const match = pattern.exec(name);
    if (match === null) continue;
    const [, machine, pid, startedMs] = match;
    const path = `${directory}/${name}`;
    const isOrphan = machine === writer.machine && !writer.isAlive(Number(pid));
    const oldestMs = clock.nowMs() - staleAfterMs;
    const isOld =
      Number(startedMs) < oldestMs && ((await fileSystem.status(path))?.mtimeMs ?? 0) < oldestMs;
    if (isOrphan || isOld) await fileSystem.unlink(path);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return platformCode(error) !== "ESRCH";
  }
}

let cachedMachineId: string | undefined;

/** Process ids mean the same thing wherever this is equal: 12 hex digits of a hash, so that it tells nothing else. */
function machineId(): string {
  cachedMachineId ??= createHash("sha256").update(processSpace()).digest("hex").slice(0, 12);
  return cachedMachineId;
}

function processSpace(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    // Not Linux: one process space per host.
    return `host ${hostname()}`;
  }
}
