// `<output>-txid`: the TXID of the output for programs and people, as Litestream writes it. Nothing is decided by it but
// whose an output is.
import type { FileSystem } from "../../core/base/file-system.ts";
import { type Txid, formatTxid } from "../../core/ltx/txid.ts";
import { readWhole, writeDurably } from "../engine/durable-file.ts";

/** Path of the file beside an output. */
export function txidFileOf(output: string): string {
  return `${output}-txid`;
}

/** Writes it, with the output's mode and owner, unless it is there already. */
export async function writeTxidFile(
  fileSystem: FileSystem,
  output: string,
  txid: Txid,
): Promise<void> {
  const path = txidFileOf(output);
  const text = `${formatTxid(txid)}\n`;
  const old = await readWhole(fileSystem, path);
  if (old !== undefined && new TextDecoder().decode(old) === text) return;
  const ownership = await fileSystem.status(output);
  await writeDurably(fileSystem, path, new TextEncoder().encode(text), { ownership });
}
