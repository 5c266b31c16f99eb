// Writes docs/configuration.md and the JSON Schema for editors from the table of keys. test/tidy.test.ts keeps them
// equal.
import { mkdir, writeFile } from "node:fs/promises";
import { z } from "zod";
import { keyNotes } from "../src/node/engine/config/key-notes.ts";
import { configSchema } from "../src/node/engine/config/keys.ts";
import { globalSettingNames } from "../src/node/engine/config/replica-keys.ts";
import { jsonTypes } from "../src/node/engine/config/kinds.ts";
import { sectionOf } from "../src/node/engine/config/schema-walk.ts";

const introduction = `# Configuration file

\`headwater replicate\` without arguments runs every database of its configuration file, which is Litestream's
\`litestream.yml\` as it is, or one with Headwater's own keys. It is looked for in \`-config PATH\`, \`$HEADWATER_CONFIG\`,
\`$LITESTREAM_CONFIG\`, \`/etc/headwater.yml\` and \`/etc/litestream.yml\`, in this order.
[examples/litestream.yml](../examples/litestream.yml) is one to begin with; editors that know JSON Schema complete and
check it with [schema/headwater-config.schema.json](schema/headwater-config.schema.json).

- \`$NAME\` and \`\${NAME}\` are replaced by variables of the environment everywhere in the text, as Litestream does: what
  is not set becomes empty, \`$PID\` is the process id, there is no escape. \`-no-expand-env\` turns it off.
- Durations are written as in Go: \`250ms\`, \`1s\`, \`1m30s\`; a bare number is nanoseconds. Sizes: \`500MB\`, \`1GiB\`, or a
  bare number of bytes. What is empty counts as left out.
- A key that neither Litestream nor Headwater knows is an error that names the nearest known one; with \`-lenient\` it is a
  warning. A key that is known and does nothing here is accepted with a warning: "no effect" below.
- Mistakes are reported all at once, each with file, line and column.
- A setting of the table "replica" that is marked may also stand at the top of the file. It then holds for every replica
  that leaves it out, except that a replica with a \`url\` takes no \`bucket\` and no \`host\` from there.
- Secrets (\`access-key-id\`, \`secret-access-key\`, \`sse-customer-key\`) are neither logged nor written into the state
  directory; the rest of a replica's settings become part of its URL there.
- \`SIGHUP\` has the file read again: databases are added and removed, those whose settings changed are started anew after a
  last sync. A file with mistakes changes nothing. What is under "logging" and "socket", \`exec\`,
  \`shutdown-sync-timeout\`, \`mcp-addr\` and \`mcp-token\` take effect at the next start.
- With \`watch: true\` a database that was deleted keeps its history in the replica. A new one at its path continues the
  numbering with a full image. Nothing in a state directory (\`.*-headwater\`, \`.*-litestream\`) is a database.

This page is written by \`npm run docs:config\` from \`src/node/engine/config/keys.ts\`.
`;

type Row = readonly string[];

/** The whole text of docs/configuration.md. */
export function configDocs(): string {
  const parts = [introduction];
  const describe = (title: string, schema: unknown): void => {
    const section = Object.entries(sectionOf(schema) ?? {});
    const isTop = title === "";
    const isReplica = title === "dbs[].replica";
    const rows = section
      .filter(([name]) => !isTop || !isGlobal(name))
      .map(([name, one]): Row => rowOf(name, one, isReplica));
    const titles = ["key", "effect", "default", "meaning", ...(isReplica ? ["at the top"] : [])];
    parts.push(`## ${isTop ? "The top of the file" : title}\n\n${table([titles, ...rows])}`);
    for (const [name, one] of section) {
      // Both forms of a replica have the same keys.
      if ((isTop && isGlobal(name)) || name === "replicas" || sectionOf(one) === undefined)
        continue;
      describe(`${isTop ? "" : `${title}.`}${name}${isList(one) ? "[]" : ""}`, one);
    }
  };
  describe("", configSchema);
  return parts.join("\n");
}

function rowOf(name: string, schema: z.core.$ZodType, isReplica: boolean): Row {
  const note = keyNotes.get(schema);
  if (note === undefined) throw new Error(`${name} has no note in the table of keys`);
  const effect = note.effect === "none" ? "no effect" : note.effect;
  const top = isReplica ? [isGlobal(name) ? "yes" : "-"] : [];
  return [`\`${name}\``, effect, note.fallback ?? "-", note.means, ...top];
}

function isGlobal(name: string): boolean {
  return globalSettingNames.some((one) => one === name);
}

function isList(schema: z.core.$ZodType): boolean {
  return schema instanceof z.ZodOptional && schema.unwrap() instanceof z.ZodArray;
}

function table([titles = [], ...rows]: readonly Row[]): string {
  const widths = titles.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  const line = (cells: Row, fill = " "): string =>
    `| ${widths.map((width, at) => (cells[at] ?? "").padEnd(width, fill)).join(" | ")} |\n`;
  return [line(titles), line([], "-"), ...rows.map((row) => line(row))].join("");
}

/** The JSON Schema of the file. */
export function configJsonSchema(): unknown {
  const schema = z.toJSONSchema(configSchema, {
    io: "input",
    override: ({ zodSchema, jsonSchema }) => {
      const json = jsonTypes.get(zodSchema);
      if (json !== undefined) Object.assign(jsonSchema, json);
      const note = keyNotes.get(zodSchema);
      if (note === undefined) return;
      const prefix =
        note.effect === "none" ? "No effect. " : note.effect === "refused" ? "Refused. " : "";
      jsonSchema.description = prefix + note.means;
      if (note.effect === "none") jsonSchema.deprecated = true;
    },
  });
  return { ...schema, title: "Configuration file of Headwater" };
}

if (import.meta.main) {
  const docs = new URL("../docs/", import.meta.url);
  await writeFile(new URL("configuration.md", docs), configDocs());
  await mkdir(new URL("schema/", docs), { recursive: true });
  const json = `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`;
  await writeFile(new URL("schema/headwater-config.schema.json", docs), json);
}
