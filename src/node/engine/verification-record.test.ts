import { writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { ownershipOf } from "./state-directory.ts";
import { readVerification, writeVerification } from "./verification-record.ts";

it("keeps what was found last; one that is missing, damaged or of another kind is none", async () => {
  using directory = temporaryDirectory();
  const options = {
    fileSystem: nodeFileSystem,
    stateDirectory: directory.path,
    ownership: ownershipOf(directory.path),
  };
  expect(await readVerification(options)).toBeUndefined();
  const record = {
    result: "healed" as const,
    verified: { atMs: 1_700_000_000_000, txid: 26n },
    restoreVerified: undefined,
  };
  await writeVerification(record, options);
  expect(await readVerification(options)).toEqual(record);
  for (const text of ["", "[]", '{"result":"perhaps"}']) {
    writeFileSync(directory.file("verification.json"), text);
    expect(await readVerification(options)).toBeUndefined();
  }
});
