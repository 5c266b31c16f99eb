// Databases that are registered while Headwater runs.
import { describe, expect, test } from "vitest";
import { readConfigText } from "../../../../test/support/config-file.ts";

describe("a database that is registered", () => {
  const config = readConfigText(
    `access-key-id: AKID\nsecret-access-key: s3cr3t\nsync-interval: 5s\nl0-retention: 1h\n` +
      "dbs:\n  - path: /listed.db\n    take-over: true\n    replica:\n      url: s3://bucket/listed\n      region: us-east-1\n",
  );

  test("gets what the top of the file says", () => {
    expect(config.register("/new.db", "s3://bucket/new?region=us-east-1").options).toMatchObject({
      path: "/new.db",
      replica: "s3://bucket/new?region=us-east-1",
      secrets: { accessKeyId: "AKID", secretAccessKey: "s3cr3t" },
      syncIntervalMs: 5_000,
      l0RetentionMs: 3_600_000,
    });
  });

  test("is the entry of the file if it goes to that entry's replica", () => {
    const [listed] = config.databases;
    expect(config.register("/listed.db", "s3://bucket/listed?region=us-east-1")).toBe(listed);
    expect(config.register("/listed.db", "s3://bucket/other?region=us-east-1")).not.toBe(listed);
  });

  test.each([
    [
      "backups",
      "/new.db was not registered: replica.url must begin with file:// or s3://. Write a path as path.",
    ],
    [
      "sftp://host/x",
      "/new.db was not registered: replica.url is of type sftp, which this version cannot write. It writes file and s3.",
    ],
    [
      "file://relative",
      "/new.db was not registered: replica.url needs three slashes and an absolute path: file:///var/backups/app.",
    ],
  ])("is refused with the replica %s", (replica, message) => {
    expect(() => config.register("/new.db", replica)).toThrow(
      expect.objectContaining({ code: "usage/invalid", message }),
    );
  });
});
