// Temporary directories that go away with their scope.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
  /** A path inside it. */
  file(...parts: readonly string[]): string;
  /** The `file://` URL of a path inside it. */
  url(...parts: readonly string[]): string;
}

/** A new empty directory in the system's temporary folder; disposing it removes it with everything in it. */
export async function temporaryDirectory(name = "test"): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), `headwater-${name}-`));
  return {
    path,
    file: (...parts) => join(path, ...parts),
    url: (...parts) => `file://${join(path, ...parts)}`,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  };
}
