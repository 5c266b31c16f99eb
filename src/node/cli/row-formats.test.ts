import { describe, expect, it } from "vitest";
import type { SqlValue } from "../../core/vfs/sql-values.ts";
import type { RowFormat } from "./row-formats.ts";
import { openRowWriter } from "./row-formats.ts";

const columns = ["id", "text", "id"];
const rows: readonly (readonly SqlValue[])[] = [
  [1, 'say "hi", twice', null],
  [9_007_199_254_740_993n, "", Uint8Array.of(0, 255)],
  [-0.5, "a\nb\u001B[31m\u00E9", Infinity],
];

function written(format: RowFormat, ...batches: readonly (typeof rows)[]): string {
  const writer = openRowWriter(format, columns);
  return batches.map((batch) => writer.rows(batch)).join("") + writer.end();
}

describe("the table", () => {
  it("aligns, shows NULL and blobs, and lets no control character through", () => {
    expect(written("table", rows)).toBe(
      [
        "id                text             id",
        "----------------  ---------------  -------",
        '               1  say "hi", twice  NULL',
        "9007199254740993                   x'00ff'",
        "            -0.5  a\\nb\\x1b[31m\u00E9      1e999",
        "",
      ].join("\n"),
    );
  });

  it("keeps the widths of the first rows, and holds back no more than those", () => {
    const writer = openRowWriter("table", columns);
    const many = Array.from({ length: 255 }, () => [1, "a", 2]);
    expect(writer.rows(many)).toBe("");
    expect(writer.rows([[3, "b", 4]]).split("\n")).toHaveLength(2 + 256 + 1);
    expect(writer.rows([[5, "much longer", 6]])).toBe(" 5  much longer   6\n");
    expect(writer.end()).toBe("");
  });

  it("shows the columns of a result without rows", () => {
    expect(written("table")).toBe("id  text  id\n--  ----  --\n");
  });
});

describe("JSON", () => {
  it("keeps every digit and every column", () => {
    const text = written("json", rows.slice(0, 2), rows.slice(2));
    expect(text).toBe(
      [
        "[",
        '  {"id":1,"text":"say \\"hi\\", twice","id":null},',
        '  {"id":9007199254740993,"text":"","id":"00ff"},',
        '  {"id":-0.5,"text":"a\\nb\\u001b[31m\u00E9","id":1e999}',
        "]",
        "",
      ].join("\n"),
    );
    expect(JSON.parse(text)).toHaveLength(3);
  });

  it("is an empty array without rows", () => {
    expect(written("json")).toBe("[]\n");
  });
});

describe("CSV", () => {
  it("quotes what has to be, and tells NULL from an empty text", () => {
    expect(written("csv", rows)).toBe(
      [
        "id,text,id",
        '1,"say ""hi"", twice",',
        '9007199254740993,"",00ff',
        '-0.5,"a',
        'b\u001B[31m\u00E9",1e999',
        "",
      ].join("\n"),
    );
  });

  it("has a header without rows", () => {
    expect(written("csv")).toBe("id,text,id\n");
  });
});
