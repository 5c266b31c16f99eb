// The shop's replication as a process of its own, which also pushes what is new to pages that follow: `headwater replicate`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface PrimaryOptions {
  readonly database: string;
  readonly replica: string;
  /** The page's. Others may not follow. */
  readonly origin: string;
  /** The configuration file is written there. */
  readonly directory: string;
}

/** Disposing it ends it, after a last upload. */
export interface Primary extends AsyncDisposable {
  /** Where the database is followed by push. */
  readonly address: string;
}

export async function startPrimary(options: PrimaryOptions): Promise<Primary> {
  const { database, replica, origin, directory } = options;
  const config = join(directory, "headwater.yml");
  // The replica is up to ten seconds behind: what a page shows before is pushed.
  await writeFile(
    config,
    `addr: 127.0.0.1:0
push:
  enabled: true
  allow-origin: ["${origin}"]
l0-retention: 12h
dbs:
  - path: ${database}
    replica:
      path: ${replica}
      manifest: true
      sync-interval: 10s
`,
  );
  const program = join(
    dirname(fileURLToPath(import.meta.resolve("headwater"))),
    "../bin/headwater.js",
  );
  const child = spawn(process.execPath, [program, "replicate", "-config", config], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const address = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      const found = / metrics\.listening .*address=(?<address>\S+)/u.exec(line)?.groups?.[
        "address"
      ];
      if (found !== undefined) resolve(found);
    });
    exited.then(
      ([code]) => reject(new Error(`headwater replicate has ended with ${code}`)),
      reject,
    );
  });
  return {
    address: `${address}/databases/shop`,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
