import { expect, test } from "vitest";
import { databaseName, findByName } from "./database-name.ts";

const paths = ["/srv/app.db", "/srv/old/app.sqlite", "/srv/users.db3", "/srv/.db", "/srv/app-x"];
const databases = paths.map((path) => ({ path }));

test("a database is called by its file, and by its path where others have the same", () => {
  const names = paths.map((path) => databaseName(path, paths));
  expect(names).toEqual([
    expect.stringMatching(/^app-[0-9a-f]{8}$/u),
    expect.stringMatching(/^app-[0-9a-f]{8}$/u),
    "users",
    ".db",
    "app-x",
  ]);
  expect(new Set(names).size).toBe(names.length);
  expect(names.map((name) => findByName(name, databases).map(({ path }) => path))).toEqual(
    paths.map((path) => [path]),
  );
});

test("the long name stays when another database comes, and the short one is then nobody's alone", () => {
  const long = databaseName("/srv/app.db", paths);
  const [app, other] = [{ path: "/srv/app.db" }, { path: "/srv/old/app.sqlite" }];
  expect(findByName(long, [app])).toEqual([app]);
  expect(findByName("app", [app])).toEqual([app]);
  expect(findByName("app", [app, other])).toEqual([app, other]);
  expect(findByName("ap", databases)).toEqual([]);
});
