// A key of the configuration file: the schema of its value, and what is to be said of it.
import { z } from "zod";

export interface KeyNote {
  /** `none`: known, and without effect here; a file that has it gets a warning. `refused`: an error. */
  readonly effect: "used" | "none" | "refused";
  /** A sentence: what it does, or why it does nothing. */
  readonly means: string;
  /** As one would write it. */
  readonly fallback?: string;
}

/** What is to be said of a key, by the schema of its value. */
export const keyNotes = z.registry<KeyNote>();

/** A key with what is to be said of it. */
export function key<T extends z.ZodType>(type: T, note: KeyNote): z.ZodOptional<T> {
  const schema = type.optional();
  keyNotes.add(schema, note);
  return schema;
}

/** A key that does something. */
export const used = <T extends z.ZodType>(
  type: T,
  means: string,
  fallback?: string,
): z.ZodOptional<T> =>
  key(type, { effect: "used", means, ...(fallback === undefined ? {} : { fallback }) });

/** A key that is known, and has no effect here. */
export const none = <T extends z.ZodType>(type: T, means: string): z.ZodOptional<T> =>
  key(type, { effect: "none", means });
