// Holds the repository to rules that no other tool knows: ARCHITECTURE.md is true, the documents are complete and
// their links resolve, nothing unfinished and nothing private is left in.
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import { describe, expect, it } from "vitest";
import { configDocs, configJsonSchema } from "../scripts/config-docs.ts";
import { errorDocs } from "../scripts/error-docs.ts";
import { errorCodes } from "../src/core/base/error-codes.ts";
import { repositoryFiles, repositoryRoot, repositoryText } from "./support/repository.ts";

const files = repositoryFiles();
const fixtures = "test/fixtures/";
const sources = files.filter(
  (name) => /^src\/.*\.ts$/u.test(name) && !name.endsWith(".generated.ts"),
);
const modules = sources.filter((name) => !name.endsWith(".test.ts") && !name.endsWith(".as.ts"));
const textFiles = files.filter(
  (name) =>
    /\.(?:ts|js|json|md|py)$|^\.ci\//u.test(name) &&
    !name.startsWith(fixtures) &&
    name !== "package-lock.json",
);

/** Folder -> layer, from the table in ARCHITECTURE.md. */
const layerByFolder = new Map(
  [
    ...repositoryText("ARCHITECTURE.md").matchAll(
      /^\| (?<layer>\d+) +\| `(?<folder>src\/[^`]+)`/gmu,
    ),
  ].map(({ groups }) => [groups?.["folder"] ?? "", Number(groups?.["layer"])]),
);

function folderOf(name: string): string {
  return dirname(name).split("/").slice(0, 3).join("/");
}

interface Import {
  readonly from: string;
  readonly to: string;
}

/** Every relative import of the modules, both ends relative to the root. */
function relativeImports(): readonly Import[] {
  return sources.flatMap((from) =>
    [...repositoryText(from).matchAll(/(?:\bfrom|^import|\bimport\() ?"(?<to>\.[^"]+)"/gmu)].map(
      ({ groups }) => ({
        from,
        to: normalize(join(dirname(from), groups?.["to"] ?? "")),
      }),
    ),
  );
}

/** Lines of the files that match, as `file:line: text`. */
function linesWith(pattern: RegExp, names: readonly string[]): readonly string[] {
  return names.flatMap((name) =>
    repositoryText(name)
      .split("\n")
      .map((line, index) => ({ line, at: `${name}:${index + 1}` }))
      .filter(({ line }) => pattern.test(line))
      .map(({ line, at }) => `${at}: ${line.trim()}`),
  );
}

describe("the map", () => {
  it("lists exactly the folders that exist", () => {
    const folders = new Set(modules.filter((name) => name.split("/").length > 2).map(folderOf));
    expect([...layerByFolder.keys()].toSorted()).toEqual([...folders].toSorted());
  });

  it("has no import that climbs to its own or a higher layer", () => {
    const climbing = relativeImports().filter(({ from, to }) => {
      if (from.endsWith(".test.ts") || folderOf(from) === folderOf(to) || dirname(from) === "src")
        return false;
      return (
        (layerByFolder.get(folderOf(to)) ?? Infinity) >= (layerByFolder.get(folderOf(from)) ?? 0)
      );
    });
    expect(climbing).toEqual([]);
  });

  it("has no module that imports an entry file", () => {
    expect(relativeImports().filter(({ to }) => dirname(to) === "src")).toEqual([]);
  });

  it("has one package entry per file of src", () => {
    const { exports } = JSON.parse(repositoryText("package.json")) as {
      exports: Record<string, unknown>;
    };
    const entries = modules
      .filter((name) => dirname(name) === "src")
      .map((name) => name.slice(4, -3));
    const expected = Object.fromEntries(
      entries.map((entry) => [
        entry === "index" ? "." : `./${entry}`,
        { types: `./dist/${entry}.d.ts`, default: `./dist/${entry}.js` },
      ]),
    );
    expect(exports).toEqual({ ...expected, "./package.json": "./package.json" });
  });
});

describe("the code", () => {
  it("has no source file above 500 lines", () => {
    expect(sources.filter((name) => repositoryText(name).split("\n").length > 501)).toEqual([]);
  });

  it("has no unfinished marks and no test that runs alone", () => {
    // The classes of one letter keep this line from matching itself.
    const marks = /T[O]DO|F[I]XME|X[X]X|\.o[n]ly\(/u;
    expect(linesWith(marks, textFiles)).toEqual([]);
  });

  it("names no place or tool of whoever wrote it", () => {
    const places = /\/h[o]me\/|\/U[s]ers\/|\/w[o]rk\/|\bs[u]bagent|this s[e]ssion/iu;
    expect(linesWith(places, textFiles)).toEqual([]);
  });
});

describe("the documents", () => {
  it("have relative links that resolve", () => {
    const broken = files
      .filter((name) => name.endsWith(".md") && !name.startsWith(fixtures))
      .flatMap((name) =>
        [...repositoryText(name).matchAll(/\]\((?<target>[^)\s]+)\)/gu)]
          .map(({ groups }) => (groups?.["target"] ?? "").replace(/#.*$/u, ""))
          .filter((target) => target !== "" && !/^[a-z]+:/u.test(target))
          .filter((target) => !existsSync(repositoryRoot + join(dirname(name), target)))
          .map((target) => `${name}: ${target}`),
      );
    expect(broken).toEqual([]);
  });

  it("describe every error code as the table does", () => {
    expect(repositoryText("docs/errors.md")).toBe(errorDocs());
  });

  it("describe every key of the configuration file, for people and for editors", () => {
    expect(repositoryText("docs/configuration.md")).toBe(configDocs());
    const schema: unknown = JSON.parse(repositoryText("docs/schema/headwater-config.schema.json"));
    expect(schema).toEqual(configJsonSchema());
  });

  it("name tests against every hazard that exist", () => {
    const named = [
      ...repositoryText("docs/hazards.md").matchAll(
        /`(?<file>(?:src|test)\/[^`]+\.ts)` "(?<title>[^"]+)"/gu,
      ),
    ].map(({ groups }) => ({ file: groups?.["file"] ?? "", title: groups?.["title"] ?? "" }));
    expect(named.length).toBeGreaterThan(80);
    const missing = named.filter(
      ({ file, title }) => !files.includes(file) || !repositoryText(file).includes(title),
    );
    expect(missing).toEqual([]);
  });

  it("describe every dependency", () => {
    const { dependencies, devDependencies } = JSON.parse(repositoryText("package.json")) as Record<
      string,
      object
    >;
    const text = repositoryText("docs/dependencies.md");
    const names = Object.keys({ ...dependencies, ...devDependencies });
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });
});

it("raises every error code somewhere", () => {
  const table = "src/core/base/error-codes.ts";
  const code = modules
    .filter((name) => name !== table)
    .map(repositoryText)
    .join("\n");
  expect(Object.keys(errorCodes).filter((name) => !code.includes(`"${name}"`))).toEqual([]);
});
