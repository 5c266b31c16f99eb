// Temporary directories that go away with their test.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryDirectory extends Disposable {
  readonly path: string;
  /** A path inside it. */
  file(name: string): string;
  /** The `file://` URL of a path inside it. */
  url(name: string): string;
}

/** A new directory; disposing deletes it and what is in it. */
export function temporaryDirectory(): TemporaryDirectory {
  const path = mkdtempSync(join(tmpdir(), "headwater-test-"));
  return {
    path,
    file: (name) => join(path, name),
    url: (name) => `file://${join(path, name)}`,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}
