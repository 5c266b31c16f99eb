// The golden sets that hold a backup of Litestream 0.3: `daemon-v03`, and `daemon-v03-then-v05`, whose LTX files lie beside
// the generations of the first.
import { cpSync, mkdtempSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const goldenRoot = fileURLToPath(new URL("../fixtures/golden", import.meta.url));

/** What a restore gave; without `dbSha256` it was refused. */
interface Outcome {
  readonly dbSha256?: string;
}

/** One entry of `restores` in a manifest, by either version of Litestream. */
export interface GenerationRestore extends Outcome {
  readonly what: string;
  readonly generation?: string;
  readonly index?: string;
  readonly timestamp?: string;
  readonly txid?: number;
  readonly "v0.3.13"?: Outcome;
  readonly "v0.5"?: Outcome;
}

interface RawManifest {
  readonly files: readonly {
    readonly path?: string;
    readonly file?: string;
    readonly level?: number;
    readonly mtimeMs: number;
  }[];
  readonly restores: readonly GenerationRestore[];
}

export interface GenerationSet extends Disposable {
  /** A `file://` replica. */
  readonly path: string;
  readonly restores: readonly GenerationRestore[];
}

/** A copy in a temporary directory, modification times set. Disposing deletes it. */
export function copyGenerations(name: "daemon-v03" | "daemon-v03-then-v05"): GenerationSet {
  const path = mkdtempSync(join(tmpdir(), "headwater-golden-"));
  const sets = name === "daemon-v03" ? ["daemon-v03"] : ["daemon-v03", name];
  for (const set of sets) {
    const source = join(goldenRoot, set);
    cpSync(source, path, { recursive: true });
    for (const { path: file, file: ltx, level, mtimeMs } of manifestOf(set).files) {
      // Half a millisecond more: a double of seconds cannot hold most milliseconds, and times are rounded down.
      const seconds = (mtimeMs + 0.5) / 1000;
      utimesSync(join(path, file ?? `ltx/${level}/${ltx}`), seconds, seconds);
    }
  }
  rmSync(join(path, "manifest.json"));
  return {
    path,
    restores: manifestOf(name).restores,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function manifestOf(set: string): RawManifest {
  return JSON.parse(readFileSync(join(goldenRoot, set, "manifest.json"), "utf8")) as RawManifest;
}
