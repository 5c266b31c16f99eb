import { describe, expect, test } from "vitest";
import { decideAdoption } from "./adoption.ts";
import type { AdoptionFacts } from "./adoption.ts";

const nothing: AdoptionFacts = {
  hasHead: false,
  hasStaged: false,
  isHeadStagedHere: false,
  isSourceAtHead: false,
  isWriterKnown: false,
  takeOver: false,
};

describe("the rules of adoption", () => {
  test("an empty replica gets the first image if we hold nothing", () => {
    expect(decideAdoption(nothing)).toBe("first-image");
  });

  test("an empty replica gets an image at our TXID if we hold a history", () => {
    expect(decideAdoption({ ...nothing, hasStaged: true })).toBe("image-of-held");
  });

  test("(a) our own head is continued, whatever else is true", () => {
    const facts = { ...nothing, hasHead: true, hasStaged: true, isHeadStagedHere: true };
    expect(decideAdoption(facts)).toBe("continue");
    expect(decideAdoption({ ...facts, isSourceAtHead: true })).toBe("continue");
  });

  test("(b) a database restored from the head needs nothing uploaded", () => {
    expect(decideAdoption({ ...nothing, hasHead: true, isSourceAtHead: true })).toBe(
      "continue-restored",
    );
  });

  test("(c) anything else is a full image, at once only if no other writer can be at work", () => {
    const facts = { ...nothing, hasHead: true, hasStaged: true };
    expect(decideAdoption(facts)).toBe("wait-then-take-over");
    expect(decideAdoption({ ...facts, isWriterKnown: true })).toBe("take-over");
    expect(decideAdoption({ ...facts, takeOver: true })).toBe("take-over");
  });
});
