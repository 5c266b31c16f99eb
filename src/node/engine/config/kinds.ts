// The kinds of values in a configuration file, each read from text. The type an editor shall offer is kept beside.
import { z } from "zod";
import { parseMonthlyCost } from "../../base/money.ts";
import { parseBytes, parseDuration } from "../../base/quantities.ts";

/** What JSON Schema says of a kind. */
export const jsonTypes = z.registry<{
  readonly type: string | string[];
  readonly enum?: string[];
}>();

type Kind<T> = z.ZodPipe<z.ZodString, z.ZodTransform<T, string>>;

function kind<T>(
  json: { readonly type: string | string[]; readonly enum?: string[] },
  wanted: string,
  parse: (text: string) => T | undefined,
): Kind<T> {
  const schema = z.string().transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    const shown = text.length > 40 ? `${text.slice(0, 40)}...` : text;
    context.addIssue({
      code: "custom",
      message: `must be ${wanted}, not ${JSON.stringify(shown)}.`,
    });
    return z.NEVER;
  });
  jsonTypes.add(schema, json);
  return schema;
}

/** Any text. */
export const text = z.string();

/** What YAML 1.1 takes for a boolean. */
export const flag = kind({ type: "boolean" }, "true or false", (given) => {
  if (/^(?:y|yes|true|on)$/iu.test(given)) return true;
  return /^(?:n|no|false|off)$/iu.test(given) ? false : undefined;
});

/** In ms. A bare number is nanoseconds, as Go has it. */
export function duration({ atLeastMs }: { readonly atLeastMs: number }): Kind<number> {
  const shown =
    atLeastMs % 60_000 === 0
      ? `${atLeastMs / 60_000}m`
      : atLeastMs < 1
        ? "1ns"
        : `${atLeastMs / 1_000}s`;
  const least = atLeastMs === 0 ? "" : ` of at least ${shown}`;
  return kind(
    { type: ["string", "integer"] },
    `a duration such as 250ms, 1s or 1m30s${least}`,
    (given) => {
      const ms = /^\d+$/u.test(given) ? Number(given) / 1e6 : parseDuration(given);
      return ms === undefined || ms < atLeastMs ? undefined : ms;
    },
  );
}

/** Longer than nothing. */
export const positiveDuration = duration({ atLeastMs: 1e-6 });

/** A number of bytes. */
export function bytes({ atLeast }: { readonly atLeast: string }): Kind<number> {
  const least = parseBytes(atLeast) ?? 0;
  const wanted = least === 0 ? "" : ` of at least ${atLeast}`;
  return kind({ type: ["string", "integer"] }, `a size such as 500MB or 1GiB${wanted}`, (given) => {
    const sizeBytes = parseBytes(given);
    return sizeBytes === undefined || sizeBytes < least ? undefined : sizeBytes;
  });
}

/** A whole number. */
export function integer({ atLeast }: { readonly atLeast: number }): Kind<number> {
  return kind({ type: "integer" }, `a whole number of at least ${atLeast}`, (given) => {
    const value = Number(given);
    return /^-?\d+$/u.test(given) && Number.isSafeInteger(value) && value >= atLeast
      ? value
      : undefined;
  });
}

/** US dollars a month. */
export const monthlyCost = kind(
  { type: "string" },
  "a price such as $1/month, 1 USD/month or $12/year",
  parseMonthlyCost,
);

/** Permissions of a file: octal, as a number of YAML or as text. */
export const permissions = kind(
  { type: ["string", "integer"] },
  "permissions in octal with a leading 0, such as 0600",
  (given) =>
    /^0o?[0-7]{1,3}$/u.test(given) ? Number.parseInt(given.replace("o", ""), 8) : undefined,
);

/** One of the words, in any case; read as written in the list. */
export function choice<const T extends string>(choices: readonly T[]): Kind<T> {
  return kind({ type: "string", enum: [...choices] }, `one of ${choices.join(", ")}`, (given) =>
    choices.find((one) => one === given.toLowerCase()),
  );
}
