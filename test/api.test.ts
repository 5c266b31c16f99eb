import { expect, it } from "vitest";
import { apiEntries, apiNames } from "../scripts/api-names.ts";
import { repositoryFiles, repositoryText } from "./support/repository.ts";

const entries = await apiEntries();

it("has a list of names for every entry, and no other", () => {
  const lists = repositoryFiles("test/api/");
  expect(lists).toEqual(entries.map((entry) => `test/api/${entry}.txt`).toSorted());
});

it.for(entries)(
  "%s exports what its list says; npm run api:update if that was meant",
  async (entry) => {
    expect(await apiNames(entry)).toBe(repositoryText(`test/api/${entry}.txt`));
  },
);
