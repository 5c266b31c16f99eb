// The byte tables of docs/formats/ltx.md are those of the code.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ltxHeaderLayout } from "./header.ts";
import { ltxFrameLayout } from "./page-block.ts";
import { ltxTrailerLayout } from "./trailer.ts";

const text = readFileSync(new URL("../../../docs/formats/ltx.md", import.meta.url), "utf8");

/** The table that follows the marker of a layout, in the shape of the layout. */
function documentedLayout(name: string): Record<string, readonly [number, number]> {
  const [, after = ""] = text.split(`<!-- layout: ${name} -->`);
  const [table = ""] = after.trimStart().split("\n\n");
  const rows = table.matchAll(/^\| *(?<offset>\d+) *\| *(?<size>\d+) *\| *(?<field>\w+) *\|/gmu);
  return Object.fromEntries(
    Array.from(rows, ([, offset, size, field]) => [field, [Number(offset), Number(size)]]),
  );
}

test.each([
  ["ltxHeaderLayout", ltxHeaderLayout],
  ["ltxFrameLayout", ltxFrameLayout],
  ["ltxTrailerLayout", ltxTrailerLayout],
])("%s is the table in the documentation", (name, layout) => {
  expect(documentedLayout(name)).toEqual(layout);
});
