// Walks a value along the schema of the file, key by key: for the notes on keys, and for "did you mean".
import { z } from "zod";
import type { KeyPath } from "./mistakes.ts";

type Section = Readonly<Record<string, z.core.$ZodType>>;

/** The keys of a section, or `undefined` for a schema that is none. Looks through lists and optional values. */
export function sectionOf(schema: unknown): Section | undefined {
  if (schema instanceof z.ZodOptional) return sectionOf(schema.unwrap());
  if (schema instanceof z.ZodArray) return sectionOf(schema.element);
  return schema instanceof z.ZodObject ? schema.shape : undefined;
}

/** The section that a path leads to. */
export function sectionAt(root: unknown, path: KeyPath): Section {
  let section = sectionOf(root) ?? {};
  for (const step of path) {
    if (typeof step === "string") section = sectionOf(section[step]) ?? {};
  }
  return section;
}

/** Calls `visit` for every key of the value that the schema knows; goes into a section unless it returns false. */
export function walkKeys(
  schema: unknown,
  value: unknown,
  visit: (path: KeyPath, schema: z.core.$ZodType) => boolean,
  path: KeyPath = [],
): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) walkKeys(schema, item, visit, [...path, index]);
    return;
  }
  const section = sectionOf(schema);
  if (section === undefined || typeof value !== "object" || value === null) return;
  for (const [name, one] of Object.entries(value)) {
    const known = section[name];
    if (known !== undefined && visit([...path, name], known))
      walkKeys(known, one, visit, [...path, name]);
  }
}
