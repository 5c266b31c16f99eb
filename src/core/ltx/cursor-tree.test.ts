// Whatever the inputs are, the tree gives their pages in order, of each page the newest input first.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { CursorTree } from "./cursor-tree.ts";

interface Cursor {
  readonly order: number;
  pgno: number;
  rest: number[];
}

test("pages come in ascending order, the newest input first", () => {
  const pgno = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 0xffff_ffff }));
  const input = fc.uniqueArray(pgno, { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(input, { minLength: 1, maxLength: 40 }), (inputs) => {
      const cursors: Cursor[] = inputs.map((pgnos, order) => {
        const [first = 0, ...rest] = pgnos.toSorted((a, b) => a - b);
        return { order, pgno: first, rest };
      });
      const tree = new CursorTree(cursors);
      for (const cursor of cursors) if (cursor.pgno > 0) tree.moved(cursor);
      const seen: [number, number][] = [];
      for (let first = tree.first; first !== undefined; first = tree.first) {
        seen.push([first.pgno, first.order]);
        first.pgno = first.rest.shift() ?? 0;
        if (first.pgno > 0) tree.moved(first);
        else tree.ended(first);
      }
      const all = inputs.flatMap((pgnos, order) => pgnos.map((n): [number, number] => [n, order]));
      expect(seen).toEqual(all.toSorted(([p, a], [q, b]) => p - q || b - a));
    }),
  );
});
