// Two histories of one database that are the same up to a TXID, as when a primary has lost what it had not uploaded yet.
import { copyFileSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { temporaryDirectory } from "./temporary.ts";

/** 1.5 MB, so that a page more or less can be told from the whole; its file shrinks when rows go. */
export const largeStart = [
  `PRAGMA auto_vacuum = FULL; CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB);
   WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
   INSERT INTO t SELECT i, randomblob(3500) FROM n`,
  "UPDATE t SET body = randomblob(3500) WHERE id = 20",
  "UPDATE t SET body = randomblob(3500) WHERE id = 40",
];

export interface Fork {
  /** States of both sides, the common ones first. */
  readonly left: readonly Uint8Array[];
  readonly right: readonly Uint8Array[];
}

/** Runs `common`, then each side's steps on a copy of its own. */
export function forkedStates(
  steps: Readonly<Record<"common" | "left" | "right", readonly string[]>>,
  pageSize = 4096,
): Fork {
  using directory = temporaryDirectory();
  const path = directory.file("common.db");
  const common = run(path, steps.common, pageSize);
  const side = (name: "left" | "right"): readonly Uint8Array[] => {
    const copy = directory.file(`${name}.db`);
    copyFileSync(path, copy);
    return [...common, ...run(copy, steps[name], pageSize)];
  };
  return { left: side("left"), right: side("right") };
}

function run(path: string, steps: readonly string[], pageSize: number): readonly Uint8Array[] {
  return steps.map((step) => {
    {
      using db = new DatabaseSync(path);
      db.exec(`PRAGMA page_size=${pageSize}; ${step}`);
    }
    return readFileSync(path);
  });
}
