// The text of a configuration file as plain values that still know where they stand. Scalars stay text: what a value
// means depends on its key (`yes` is a boolean of Litestream's YAML 1.1, `0123` may be a secret).
import { LineCounter, isAlias, isMap, isNode, isScalar, isSeq, parseDocument, visit } from "yaml";
import type { Document } from "yaml";
import { messageOf } from "../../../core/base/errors.ts";
import { configError, remarkAt } from "./mistakes.ts";
import type { KeyPath, Position, Remark } from "./mistakes.ts";

export interface YamlSource {
  /** Text, lists and maps; what is empty or null is left out of maps. */
  readonly value: unknown;
  /** The key or list item at the path, or the nearest one above it that is there. */
  readonly positionOf: (path: KeyPath) => Position;
}

/** Throws `config/invalid` with every place that is not YAML. Values of the file are not in its messages. */
export function parseYaml(file: string, text: string): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: "failsafe",
    merge: true,
    lineCounter: lines,
    prettyErrors: false,
  });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const mistakes: Remark[] = document.errors.map(({ message, pos: [offset] }) => {
    // What follows a colon may be a part of the file, and so a secret.
    return remarkAt(file, at(offset), `this is not YAML: ${message.replace(/:.*$/su, "")}.`);
  });
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return;
      const message =
        "there is no anchor for this alias. Put a value that begins with * in quotes.";
      mistakes.push(remarkAt(file, at(alias.range?.[0] ?? 0), message));
    },
    Pair: (_, { key }) => {
      if (isScalar(key) || !isNode(key)) return;
      mistakes.push(remarkAt(file, at(key.range?.[0] ?? 0), "a key must be a single value."));
    },
    Scalar: (_, scalar) => {
      if (scalar.type === "PLAIN" && /^(?:|~|null|Null|NULL)$/u.test(String(scalar.value)))
        scalar.value = null;
    },
  });
  if (mistakes.length > 0) throw configError(file, mistakes);
  return {
    value: withoutEmpty(toValue(file, document)),
    positionOf: (path) => at(offsetOf(document, path)),
  };
}

function toValue(file: string, document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    // What only shows when everything is put together: aliases without end, a merge of what is no map.
    const problem = messageOf(error).replace(/:.*$/su, "");
    const remark = remarkAt(file, { line: 1, column: 1 }, `this cannot be read: ${problem}.`);
    throw configError(file, [remark], error);
  }
}

/** An empty section is no section: it must not take defaults away. */
function withoutEmpty(value: unknown): unknown {
  if (value === null || value === "") return undefined;
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, one]) => [key, withoutEmpty(one)] as const)
      .filter(([, one]) => one !== undefined),
  );
}

function offsetOf(document: Document, path: KeyPath): number {
  let node: unknown = document.contents;
  let offset = isMap(node) ? (node.range?.[0] ?? 0) : 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
      if (pair === undefined) return offset;
      offset = isScalar(pair.key) ? (pair.key.range?.[0] ?? offset) : offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      const item = node.items[step];
      if (isMap(item) || isScalar(item)) offset = item.range?.[0] ?? offset;
      node = item;
    } else {
      return offset;
    }
  }
  return offset;
}
