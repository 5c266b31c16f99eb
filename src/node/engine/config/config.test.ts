// The configuration file: what a good one means.
import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  mistakesOf,
  oneDatabase,
  readConfigText,
  warningsOf,
} from "../../../../test/support/config-file.ts";
import { repositoryText } from "../../../../test/support/repository.ts";
import { temporaryDirectory } from "../../../../test/support/temporary.ts";
import { defaultConfigPath } from "./config-places.ts";
import { readConfig } from "./config.ts";

/** In the shapes of Litestream's documentation. */
const full = `
addr: ":9090"
access-key-id: \${KEY_ID}
secret-access-key: $SECRET
region: eu-west-1
socket: { enabled: true, path: /var/run/litestream.sock, permissions: 0600 }
levels:
  - interval: 30s
  - interval: 5m
snapshot:
  interval: 24h
  retention: 168h
validation:
  interval: 5m
l0-retention: 5m
retention: { enabled: true }
heartbeat-url: https://example.com/ping
heartbeat-interval: 5m
exec: node server.js --port 80
shutdown-sync-timeout: 45s
logging:
  level: WARN
  type: json
  stderr: yes
dbs:
  - path: ~/app.db
    meta-path: /var/lib/litestream/app
    monitor-interval: 1s
    checkpoint-interval: 1m
    busy-timeout: 1s
    min-checkpoint-page-count: 1000
    restore-if-db-not-exists: true
    replica:
      type: s3
      bucket: my-bucket
      path: /some/app db/
      endpoint: http://localhost:9000
      force-path-style: true
      part-size: 10MB
      concurrency: 2
      sync-interval: 10s
  - path: sqlite:///var/lib/two.db
    replicas:
      - url: file:///var/backups/two/
        retention: 24h
        snapshot-interval: 1h
        validation-interval: 12h
  - path: /var/lib/three.db
    state-dir: /var/lib/headwater/three
    max-wal-size: 2GiB
    max-staging: 500MB
    take-over: true
    replica:
      url: s3://bucket/three?endpoint=https://x.example&part-size=6000000
      region: us-east-2
      access-key-id: OTHER
      secret-access-key: other-secret
`;

describe("a whole file", () => {
  const config = readConfigText(full);
  const retention = {
    levels: [30_000, 300_000],
    snapshotIntervalMs: 24 * 3600_000,
    snapshotRetentionMs: 168 * 3600_000,
    l0RetentionMs: 300_000,
    retentionEnabled: true,
    validationIntervalMs: 300_000,
  };

  test("gives each database its options", () => {
    expect(config.databases.map(({ options }) => options)).toEqual([
      {
        path: join(homedir(), "app.db"),
        replica:
          "s3://my-bucket/some/app%20db?endpoint=http%3A%2F%2Flocalhost%3A9000&region=eu-west-1" +
          "&force-path-style=true&part-size=10000000&concurrency=2",
        secrets: { accessKeyId: "AKID", secretAccessKey: "s3cr3t-value" },
        syncIntervalMs: 10_000,
        metaPath: "/var/lib/litestream/app",
        ...retention,
      },
      { path: "/var/lib/two.db", replica: "file:///var/backups/two", ...retention },
      {
        path: "/var/lib/three.db",
        replica: "s3://bucket/three?endpoint=https://x.example&part-size=6000000&region=us-east-2",
        secrets: { accessKeyId: "OTHER", secretAccessKey: "other-secret" },
        stateDir: "/var/lib/headwater/three",
        takeOver: true,
        maxWalSizeBytes: 2 * 1024 ** 3,
        maxStagingBytes: 500e6,
        ...retention,
      },
    ]);
    expect(config.databases.map(({ restoreIfDbNotExists }) => restoreIfDbNotExists)).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("gives several replicas, each with its own secrets and what the top of the file says", () => {
    const text =
      "access-key-id: TOP\nsecret-access-key: top\ndbs:\n  - path: /a.db\n    replicas:\n      - path: /r\n" +
      "      - {type: s3, bucket: b, path: p}\n      - {url: 's3://c/p', access-key-id: OWN, secret-access-key: own}\n";
    const severalConfig = readConfigText(text);
    expect(severalConfig.databases[0]?.options).toMatchObject({
      replicas: [
        { url: "file:///r" },
        { url: "s3://b/p", secrets: { accessKeyId: "TOP", secretAccessKey: "top" } },
        { url: "s3://c/p", secrets: { accessKeyId: "OWN", secretAccessKey: "own" } },
      ],
    });
    expect(severalConfig.databases[0]?.options.replica).toBeUndefined();
    expect(warningsOf(severalConfig)).toEqual([]);
  });

  test("gives what holds for all of them", () => {
    expect(config.exec).toBe("node server.js --port 80");
    expect(config.shutdownSyncTimeoutMs).toBe(45_000);
    expect(config.logging).toEqual({ level: "warn", type: "json", stderr: true });
  });

  test("warns of each key that has no effect, with its place", () => {
    expect(warningsOf(config)).toEqual([
      "2:1: addr names no host: only this machine can reach it. For others, write 0.0.0.0:9090.",
      "28:5: dbs[0].monitor-interval has no effect. A commit wakes Headwater at once.",
      "29:5: dbs[0].checkpoint-interval has no effect. The size of the WAL decides, and a minute.",
      "30:5: dbs[0].busy-timeout has no effect. Headwater does not wait for locks.",
      "31:5: dbs[0].min-checkpoint-page-count has no effect. 1000, as in Litestream.",
      "43:5: dbs[1].replicas is the old form. Write replica, without the list.",
      "45:9: dbs[1].replicas[0].retention has no effect. Litestream 0.3. Write snapshot and retention at the top of the file.",
      "46:9: dbs[1].replicas[0].snapshot-interval has no effect. Litestream 0.3. Write snapshot and retention at the top of the file.",
      "47:9: dbs[1].replicas[0].validation-interval has no effect. Litestream does not use it either.",
    ]);
  });

  test("is frozen", () => {
    const [first] = config.databases;
    const parts = [config, config.databases, config.logging, config.warnings];
    for (const part of [...parts, first, first?.options, first?.options.secrets])
      expect(Object.isFrozen(part)).toBe(true);
  });

  test("is found again by the path of a database", () => {
    expect(config.databaseAt("/var/lib/two.db")).toBe(config.databases[1]);
    expect(config.databaseAt("/var/lib/four.db")).toBeUndefined();
  });
});

test("the example of the repository has no mistake and no key without effect", () => {
  const path = fileURLToPath(new URL("../../../../examples/litestream.yml", import.meta.url));
  const config = readConfig(path, {
    environment: { AWS_ACCESS_KEY_ID: "k", AWS_SECRET_ACCESS_KEY: "s" },
  });
  expect(config.databases).toHaveLength(2);
  expect(config.warnings).toEqual([]);
  expect(repositoryText("docs/configuration.md")).toContain("examples/litestream.yml");
});

describe("values", () => {
  test.for([
    ["1s", 1000],
    ["1m30s", 90_000],
    ["250ms", 250],
    ["0", 0],
    ["2000000", 2],
    ['"5s"', 5000],
  ] as const)("sync-interval: %s is %d ms", ([text, ms]) => {
    expect(
      readConfigText(`${oneDatabase}      sync-interval: ${text}\n`).databases[0]?.options
        .syncIntervalMs,
    ).toBe(ms);
  });

  test.for(["yes", "on", "TRUE", "true"])("%s is true, as in YAML 1.1", (text) => {
    const file = `dbs:\n  - path: /a.db\n    restore-if-db-not-exists: ${text}\n    replica: {path: /r}\n`;
    expect(readConfigText(file).databases[0]?.restoreIfDbNotExists).toBe(true);
  });

  test("that look like numbers stay the text they are", () => {
    const file = oneDatabase.replace(
      "path: /backups/a",
      "url: s3://b/p\n      access-key-id: 0123\n      secret-access-key: 1e3",
    );
    expect(readConfigText(file).databases[0]?.options.secrets).toMatchObject({
      accessKeyId: "0123",
      secretAccessKey: "1e3",
    });
  });

  test("of verification are those of the database, else those of the file", () => {
    const file = `verify-interval: 1h\nverify-restore-interval: 24h\n${oneDatabase}    verify-interval: 0\n`;
    expect(readConfigText(file).databases[0]?.options).toMatchObject({
      verifyIntervalMs: 0,
      verifyRestoreIntervalMs: 24 * 3600_000,
    });
  });

  test("that are empty count as left out, and an empty section takes no default away", () => {
    const file = `sync-interval: 7s\nlogging:\nsnapshot: {}\nexec: $UNSET\nretention: ~\n${oneDatabase}      sync-interval:\n`;
    const config = readConfigText(file);
    expect(config.databases[0]?.options.syncIntervalMs).toBe(7000);
    expect(config.exec).toBeUndefined();
    expect(config.logging.level).toBeUndefined();
  });

  test("are shared by anchors and merge keys", () => {
    const config = readConfigText(
      "dbs:\n  - path: /a.db\n    replica: &r {path: /r/a, sync-interval: 2s}\n  - path: /b.db\n    replica: {<<: *r, path: /r/b}\n",
    );
    expect(
      config.databases.map(({ options }) => [options.replica, options.syncIntervalMs]),
    ).toEqual([
      ["file:///r/a", 2000],
      ["file:///r/b", 2000],
    ]);
  });

  test("keep their dollar signs without expansion", () => {
    const file = oneDatabase.replace("/backups/a", "/backups/$KEY_ID");
    expect(readConfigText(file).databases[0]?.options.replica).toBe("file:///backups/AKID");
    expect(readConfigText(file, { expandEnv: false }).databases[0]?.options.replica).toBe(
      "file:///backups/$KEY_ID",
    );
  });
});

function url(file: string): string | undefined {
  return readConfigText(file).databases[0]?.options.replica;
}

describe("settings at the top of the file", () => {
  test("hold for a replica that leaves them out, also those that Litestream forgets", () => {
    const file =
      "bucket: b\npart-size: 6MiB\nconcurrency: 3\nskip-verify: true\ndbs:\n  - path: /a.db\n    replica: {type: s3, path: p";
    expect(url(`${file}}\n`)).toBe("s3://b/p?skip-verify=true&part-size=6291456&concurrency=3");
    expect(url(`${file}, bucket: c, skip-verify: false, concurrency: 9}\n`)).toBe(
      "s3://c/p?skip-verify=false&part-size=6291456&concurrency=9",
    );
  });

  test("do not take the bucket of a URL away", () => {
    expect(
      url("bucket: b\nhost: h\nregion: r\ndbs:\n  - path: /a.db\n    replica: {url: s3://c/p}\n"),
    ).toBe("s3://c/p?region=r");
  });

  test("win over what a URL says, as the replica's own do", () => {
    expect(url("region: r\ndbs:\n  - path: /a.db\n    replica: {url: 's3://c/p?region=q'}\n")).toBe(
      "s3://c/p?region=q&region=r",
    );
  });

  test("limit what each replica may cost, in dollars or in requests: its own way wins", () => {
    const replicas = ["{path: /r}", "{url: s3://b/p}", "{url: s3://b/q, max-puts-per-month: 5000}"];
    const entries = replicas.map(
      (replica, index) => `  - path: /${index}.db\n    replica: ${replica}\n`,
    );
    const config = readConfigText(`max-cost: $12/year\ndbs:\n${entries.join("")}`);
    expect(
      config.databases.map(({ options }) => [options.maxCostPerMonth, options.maxPutsPerMonth]),
    ).toEqual([
      [1, undefined],
      [1, undefined],
      [undefined, 5000],
    ]);
  });

  test("do not touch a replica in a directory", () => {
    expect(url(`bucket: b\nendpoint: http://localhost:1\n${oneDatabase}`)).toBe(
      "file:///backups/a",
    );
  });
});

describe("secrets", () => {
  test("come from a file, and are neither in the URL nor in a message", () => {
    using directory = temporaryDirectory();
    const key = Buffer.alloc(32, 1).toString("base64");
    writeFileSync(directory.file("key"), `${key}\n`);
    const replica = `{url: s3://b/p, sse-customer-key-path: ${directory.file("key")}, secret-access-key: hush, access-key-id: id}`;
    const [database] = readConfigText(`dbs:\n  - path: /a.db\n    replica: ${replica}\n`).databases;
    expect(database?.options.replica).toBe("s3://b/p");
    expect(database?.options.secrets).toEqual({
      accessKeyId: "id",
      secretAccessKey: "hush",
      sseCustomerKey: key,
    });
  });

  test("half a pair of keys is told, because the environment decides then", () => {
    const config = readConfigText(
      `access-key-id: x\nsecret-access-key: $UNSET\n${oneDatabase.replace("path: /backups/a", "url: s3://b/p")}`,
    );
    expect(warningsOf(config)).toEqual([
      "5:5: dbs[0].replica.access-key-id does not count without secret-access-key, which is empty.",
    ]);
  });

  test.for([
    "secret-access-key: *s3cr3t\n",
    "secret-access-key: @s3cr3t\n",
    "secret-access-key: %s3cr3t\n",
    "secret-access-key: s3cr3t: s3cr3t\n",
    "secret-access-key: [s3cr3t]\n",
    "dbs:\n  - path: /a.db\n    replica: {url: s3://b/p, sse-customer-key: s3cr3t}\n",
    "dbs:\n  - path: /a.db\n    replica: {url: 's3://id:s3cr3t@b/p'}\n",
  ])("%j is refused without showing it", (text) => {
    const lines = mistakesOf(text);
    expect(lines).not.toEqual([]);
    expect(lines.join("\n")).not.toContain("s3cr3t");
  });
});

test("the file of this machine is the first that is named or there", () => {
  expect(defaultConfigPath({ HEADWATER_CONFIG: "/h", LITESTREAM_CONFIG: "/l" })).toBe("/h");
  expect(defaultConfigPath({ HEADWATER_CONFIG: "", LITESTREAM_CONFIG: "/l" })).toBe("/l");
});

test("every example of a key in this file is one that the schema for editors knows", () => {
  const path = fileURLToPath(
    new URL("../../../../docs/schema/headwater-config.schema.json", import.meta.url),
  );
  const schema = readFileSync(path, "utf8");
  for (const [, key = ""] of full.matchAll(/^ *(?:- )?(?<key>[a-z0-9-]+):/gmu))
    expect(schema).toContain(`"${key}"`);
});
