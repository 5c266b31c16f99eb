// What dying writers leave behind, made to order.
import { spawnSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { concatBytes } from "../../src/core/base/bytes.ts";
import { encodeWalFrameHeader, walFrameOffset } from "../../src/core/sqlite/wal.ts";
import { WalChecksum } from "../../src/core/sqlite/wal-checksum.ts";
import type { CapturePosition } from "../../src/node/capture/capture-types.ts";

/**
 * Appends a whole, valid transaction to the WAL file without publishing it in the wal-index: what a writer leaves that is
 * killed between writing and publishing. The -wal carries no locks, so this process may open it.
 */
export function appendPhantom(path: string, after: CapturePosition, pageSize: number): void {
  const page = new Uint8Array(pageSize).fill(0xab);
  const header = { pgno: 2, commit: 2, salt1: after.salt1, salt2: after.salt2 };
  const unsummed = encodeWalFrameHeader({ ...header, checksum1: 0, checksum2: 0 });
  const sum = new WalChecksum("little", after.checksum1, after.checksum2);
  sum.add(unsummed.subarray(0, 8));
  sum.add(page);
  const frame = encodeWalFrameHeader({ ...header, checksum1: sum.sum1, checksum2: sum.sum2 });
  const descriptor = openSync(`${path}-wal`, "r+");
  const bytes = concatBytes([frame, page]);
  writeSync(descriptor, bytes, 0, bytes.length, walFrameOffset(after.frame + 1, pageSize));
  closeSync(descriptor);
}

/** Leaves the wal-index as a writer does that dies while publishing. In a child: closing the -shm here would drop locks. */
export function tearWalIndex(path: string): void {
  const code = `
    const fs = require("node:fs");
    const descriptor = fs.openSync(process.argv[1], "r+");
    fs.writeSync(descriptor, Uint8Array.of(0xff), 0, 1, 9);
    fs.closeSync(descriptor);
  `;
  const child = spawnSync(process.execPath, ["-e", code, `${path}-shm`], { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
}

/**
 * Changes one byte of a live database's file behind SQLite's back, as a failing disk does: in the first place where
 * `marker` stands. Returns the number of the page. In a child: closing the file here would drop locks.
 */
export function rotPage(path: string, marker: string, pageSize: number): number {
  const code = `
    const fs = require("node:fs");
    const [, path, marker] = process.argv;
    const descriptor = fs.openSync(path, "r+");
    const at = fs.readFileSync(descriptor).indexOf(marker);
    if (at < 0) throw new Error("the marker is not in the file");
    fs.writeSync(descriptor, "#", at);
    fs.closeSync(descriptor);
    console.log(at);
  `;
  const child = spawnSync(process.execPath, ["-e", code, path, marker], { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return Math.floor(Number(child.stdout) / pageSize) + 1;
}
