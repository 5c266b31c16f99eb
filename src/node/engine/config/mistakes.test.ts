// Every kind of mistake in a configuration file, and what is said about it, word for word.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  configEnvironment,
  mistakesOf,
  oneDatabase,
  readConfigText,
  warningsOf,
} from "../../../../test/support/config-file.ts";
import { readConfig } from "./config.ts";

function db(keys: string): string {
  return `dbs:\n  - path: /a.db\n${keys.replaceAll(/^/gmu, "    ")}\n`;
}

describe("mistakes are told with line, column and key", () => {
  test.for([
    ["dbs: [\n", ["2:1: this is not YAML"]],
    ["a: 1\na: 2\n", ["2:1: this is not YAML: Map keys must be unique."]],
    [
      "x: *nothing\n",
      ["1:4: there is no anchor for this alias. Put a value that begins with * in quotes."],
    ],
    ["{a: b}: c\n", ["1:1: a key must be a single value."]],
    ["just text\n", ["1:1: must be a section of keys."]],
    ["dbss: []\n", ["1:1: dbss is not a key of this section. Did you mean dbs?"]],
    [
      db("replica: {path: /r}\nmonitor-intervall: 1s"),
      [
        "4:5: dbs[0].monitor-intervall is not a key of this section. Did you mean monitor-interval?",
      ],
    ],
    [
      db("replica:\n  path: /r\n  retenton: 1h"),
      ["5:7: dbs[0].replica.retenton is not a key of this section. Did you mean retention?"],
    ],
    [
      "socket: {enabld: true}\n",
      ["1:10: socket.enabld is not a key of this section. Did you mean enabled?"],
    ],
    [
      "logging: {qqqqqqqq: true}\n",
      [
        "1:11: logging.qqqqqqqq is not a key of this section. Known here are level, type, stderr, source.",
      ],
    ],
    [
      db("replica: {path: /r, sync-interval: soon}"),
      [
        '3:25: dbs[0].replica.sync-interval must be a duration such as 250ms, 1s or 1m30s, not "soon".',
      ],
    ],
    [
      db("replica: {path: /r, part-size: 1MB}"),
      [
        '3:25: dbs[0].replica.part-size must be a size such as 500MB or 1GiB of at least 5MiB, not "1MB".',
      ],
    ],
    [
      db("max-wal-size: lots\nreplica: {path: /r}"),
      [
        '3:5: dbs[0].max-wal-size must be a size such as 500MB or 1GiB of at least 1MiB, not "lots".',
      ],
    ],
    [
      db("min-checkpoint-page-count: 0\nreplica: {path: /r}"),
      ['3:5: dbs[0].min-checkpoint-page-count must be a whole number of at least 1, not "0".'],
    ],
    [
      db("restore-if-db-not-exists: maybe\nreplica: {path: /r}"),
      ['3:5: dbs[0].restore-if-db-not-exists must be true or false, not "maybe".'],
    ],
    [
      "logging: {level: loud}\n",
      ['1:11: logging.level must be one of trace, debug, info, warn, warning, error, not "loud".'],
    ],
    [
      "levels:\n  - interval: 0s\n",
      [
        '2:5: levels[0].interval must be a duration such as 250ms, 1s or 1m30s of at least 1ns, not "0s".',
      ],
    ],
    [
      "heartbeat-interval: 5s\n",
      [
        '1:1: heartbeat-interval must be a duration such as 250ms, 1s or 1m30s of at least 1m, not "5s".',
      ],
    ],
    [
      "max-cost: 1 EUR/month\n",
      [
        '1:1: max-cost must be a price such as $1/month, 1 USD/month or $12/year, not "1 EUR/month".',
      ],
    ],
    [
      "max-puts-per-month: 999\n",
      ['1:1: max-puts-per-month must be a whole number of at least 1000, not "999".'],
    ],
    [
      db("replica: {path: /r, max-cost: $1/month, max-puts-per-month: 5000}"),
      ["3:25: dbs[0].replica.max-cost and max-puts-per-month exclude each other."],
    ],
    [
      db("replica: {url: 's3://b/p?endpoint=http://localhost:9000', max-cost: $1/month}"),
      [
        "3:63: dbs[0].replica.max-cost cannot be kept: the prices of this store are not known. Set max-puts-per-month instead.",
      ],
    ],
    [
      `max-cost: $1/month\n${db("replica: {url: s3://b/p, storage-class: GLACIER_IR}")}`,
      [
        "4:5: dbs[0].replica.max-cost cannot be kept: the prices of this store are not known. Set max-puts-per-month instead.",
      ],
    ],
    ["dbs: {path: /a.db}\n", ["1:1: dbs must be a list."]],
    ["dbs:\n  -\n", ["2:4: dbs[0] must be a section of keys."]],
    [db("replica: /r"), ["3:5: dbs[0].replica must be a section of keys."]],
    [db("replica: {path: [a]}"), ["3:15: dbs[0].replica.path must be a single value."]],
    [
      db("replica: {path: /r, age: {recipients: [x]}}"),
      [
        "3:25: dbs[0].replica.age is refused. Encryption with age does not exist in this format; nothing is written in plain text instead.",
      ],
    ],
    [
      "age: {identities: []}\n",
      [
        "1:1: age is refused. Encryption with age does not exist in this format; nothing is written in plain text instead.",
      ],
    ],
    [
      db("pattern: '*.db'\nreplica: {path: /r}"),
      ["3:5: dbs[0].pattern goes with dir, not with path."],
    ],
    [db("monitor-interval: 1s"), ["2:5: dbs[0] needs a replica."]],
    [
      db("replica: {path: /r}\nreplicas: [{path: /r}]"),
      ["4:5: dbs[0].replicas and replica exclude each other."],
    ],
    [
      db("replicas: [{path: /r}, {url: file:///r/}]"),
      ["2:5: dbs[0] has a replica which dbs[0] has already. Each needs its own."],
    ],
    [
      db("replicas: [{path: /r}, {path: /s, sync-interval: 2s}]"),
      ["3:39: dbs[0].replicas[1].sync-interval must be the same for all replicas of a database."],
    ],
    [
      db("replicas: [{path: /r}, {url: ftp://h/s}]"),
      [
        "3:29: dbs[0].replicas[1].url is of type ftp, which this version cannot write. It writes file and s3.",
      ],
    ],
    [
      `${db("replica: {path: /r}")}  - path: /b.db\n    replicas: [{path: /q}, {path: /r}]\n`,
      ["4:5: dbs[1] has a replica which dbs[0] has already. Each needs its own."],
    ],
    [
      "dbs:\n  - replica: {path: /r}\n",
      ["2:5: dbs[0] needs path for one database, or dir for a directory of them, and not both."],
    ],
    [
      db("dir: /d\nreplica: {path: /r}"),
      ["2:5: dbs[0] needs path for one database, or dir for a directory of them, and not both."],
    ],
    [
      "dbs:\n  - dir: /d\n    replica: {path: /r}\n",
      ['2:5: dbs[0] has dir and needs pattern, the names of the databases: pattern: "*.db".'],
    ],
    [
      "dbs:\n  - dir: /d\n    pattern: '[a'\n    replica: {path: /r}\n",
      ["3:5: dbs[0].pattern has a [ without its ]."],
    ],
    [
      "dbs:\n  - dir: /d\n    pattern: '*'\n    meta-dir: /m\n    meta-path: /n\n    replica: {path: /r}\n",
      ["4:5: dbs[0].meta-dir and meta-path exclude each other."],
    ],
    [
      db("replica: {name: x}"),
      ["3:5: dbs[0].replica needs url, or path for a directory, or type: s3 with bucket and path."],
    ],
    [
      db("replica: {type: s3, path: p}"),
      ["3:5: dbs[0].replica needs bucket, or url: s3://bucket/path."],
    ],
    [
      db("replica: {type: s3, bucket: a/b}"),
      ["3:25: dbs[0].replica.bucket must be the name of a bucket, without / ? # and @."],
    ],
    [
      db("replica: {type: tape, path: p}"),
      [
        '3:15: dbs[0].replica.type must be one of file, s3, gs, abs, sftp, webdav, nats, oss, not "tape".',
      ],
    ],
    [
      db("replica: {type: gs, bucket: b}"),
      [
        "3:15: dbs[0].replica.type is of type gs, which this version cannot write. It writes file and s3.",
      ],
    ],
    [
      db("replica: {url: sftp://host/p}"),
      [
        "3:15: dbs[0].replica.url is of type sftp, which this version cannot write. It writes file and s3.",
      ],
    ],
    [
      db("replica: {url: /just/a/path}"),
      ["3:15: dbs[0].replica.url must begin with file:// or s3://. Write a path as path."],
    ],
    [
      db("replica: {url: file://relative}"),
      [
        "3:15: dbs[0].replica.url needs three slashes and an absolute path: file:///var/backups/app.",
      ],
    ],
    [db("replica: {path: s3://b/p}"), ["3:15: dbs[0].replica.path is a URL. Write it as url."]],
    [
      db("replica: {url: s3://b/p, path: q}"),
      ["3:30: dbs[0].replica.path and url exclude each other. The URL holds it."],
    ],
    [
      db("replica: {url: s3://b/p, bucket: q}"),
      ["3:30: dbs[0].replica.bucket and url exclude each other. The URL holds it."],
    ],
    [
      db("replica: {url: 's3://b/p?regoin=x'}"),
      ['3:5: dbs[0].replica cannot be used. It has no parameter "regoin". Did you mean region?'],
    ],
    [
      `${db("replica: {path: /r}")}  - path: /a.db\n    replica: {path: /s}\n`,
      ["4:5: dbs[1] is the database of /a.db, which dbs[0] has already. Each needs its own."],
    ],
    [
      `${db("replica: {path: /r}")}  - path: /b.db\n    replica: {url: file:///r/}\n`,
      ["4:5: dbs[1] has a replica which dbs[0] has already. Each needs its own."],
    ],
    [
      `${db("state-dir: /s\nreplica: {path: /r}")}  - path: /b.db\n    state-dir: /s/\n    replica: {path: /q}\n`,
      ["5:5: dbs[1] has a state-dir which dbs[0] has already. Each needs its own."],
    ],
  ] as const)("%j", ([text, expected]) => {
    expect(
      mistakesOf(text).map((line, at) =>
        expected[at]?.endsWith("YAML") === true ? line.slice(0, expected[at].length) : line,
      ),
    ).toEqual(expected);
  });

  test("all of a file at once, in its order", () => {
    const file = `sync-intervall: 1s\n${oneDatabase}      retenton: 1h\nexec: [1]\n`;
    expect(mistakesOf(file)).toEqual([
      "1:1: sync-intervall is not a key of this section. Did you mean sync-interval?",
      "6:7: dbs[0].replica.retenton is not a key of this section. Did you mean retention?",
      "7:1: exec must be a single value.",
    ]);
  });

  test("an unknown key is a warning with lenient, and the rest still counts", () => {
    const file = `mystery: {a: 1}\n${oneDatabase}      retenton: 1h\n`;
    const config = readConfigText(file, { lenient: true });
    expect(config.databases).toHaveLength(1);
    expect(warningsOf(config)).toEqual([
      "1:1: mystery is not a key of this section, and ignored. docs/configuration.md lists them.",
      "6:7: dbs[0].replica.retenton is not a key of this section, and ignored. Did you mean retention?",
    ]);
    expect(mistakesOf(`${file}exec: [1]\n`, { lenient: true })).toEqual([
      "7:1: exec must be a single value.",
    ]);
  });

  test("a file that is not there is named", () => {
    expect(() => readConfig("/nowhere/litestream.yml", { environment: configEnvironment })).toThrow(
      /\/nowhere\/litestream\.yml cannot be read: ENOENT.*-config/su,
    );
  });

  test("aliases without end and a merge of what is no map are refused", () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [${"*a, ".repeat(11)}]\nc: &c [${"*b, ".repeat(11)}]\nd: [${"*c, ".repeat(11)}]\n`;
    expect(mistakesOf(bomb)).toEqual([expect.stringMatching(/^1:1: this cannot be read: /u)]);
    expect(mistakesOf("<<: x\n")).not.toEqual([]);
  });

  test("whatever is done to a good file, it is read or refused with a place", () => {
    const good = `sync-interval: 1s\nlogging: {level: info}\n${oneDatabase}      part-size: 10MB\n  - {dir: /nowhere, pattern: "*.db", replica: {url: "s3://b/p"}}\n`;
    const piece = fc.oneof(
      fc.constantFrom(
        "&a ",
        "*a",
        "<<: ",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "\n",
        "\n  ",
        "!!map ",
        "? ",
        "'",
        '"',
        "#",
        "|\n",
        "%",
        "~",
        "$X",
        "${",
      ),
      fc.string({ maxLength: 3, unit: "binary" }),
    );
    const change = fc.tuple(fc.nat(good.length), fc.nat(8), piece);
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        let text = good;
        for (const [at, length, inserted] of changes)
          text = text.slice(0, at) + inserted + text.slice(at + length);
        for (const line of mistakesOf(text)) expect(line).toMatch(/^\d+:\d+: /u);
      }),
      { numRuns: 200 },
    );
  });

  test("an empty file lists nothing", () => {
    expect(readConfigText("").databases).toEqual([]);
    expect(readConfigText("# nothing\n").databases).toEqual([]);
  });
});
