// Headwater and Litestream read each other's replicas. Litestream is its own Go code here (support/official-vfs.ts).
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { openCodec } from "../src/core/codec/codec.ts";
import { copyGolden } from "./support/golden.ts";
import { officialHydrate, officialQuery } from "./support/official-vfs.ts";
import { databaseStates, writeReplica } from "./support/replica-writer.ts";
import { temporaryDirectory } from "./support/temp.ts";

const codec = openCodec();

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe("Litestream's code", () => {
  const sets = [
    "basic-4096",
    "seeded-65536",
    "multilevel-4096",
    "daemon-levels-4096",
    "daemon-legacy-0.5.0",
  ];

  it.for(sets)("restores the golden set %s to the hash on record", async (name) => {
    using golden = copyGolden(name);
    await using directory = await temporaryDirectory();
    const head = golden.restores.findLast((restore) => restore.sha256 !== undefined);
    await expect(
      officialHydrate(`file://${golden.path}`, directory.file("out.db")),
    ).resolves.toEqual(head);
  });

  it.for([512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])(
    "restores what Headwater wrote with pages of %i bytes, grown, shrunk and grown again",
    async (pageSize) => {
      await using directory = await temporaryDirectory();
      const states = await databaseStates(pageSize);
      for (const count of [states.length - 1, states.length]) {
        const replica = directory.file(`replica-${count}`);
        await writeReplica(replica, states.slice(0, count), { codec, pageSize });
        const restored = await officialHydrate(`file://${replica}`, directory.file(`${count}.db`));
        const expected = states[count - 1] ?? new Uint8Array(0);
        expect(restored).toEqual({ txid: BigInt(count), sha256: sha256(expected) });
        // Page by page, through our page index: of 401 rows 57 are left, then each is doubled.
        const sql = "SELECT count(*) AS count, sum(id < 10000) AS old FROM t";
        const rows = await officialQuery(`file://${replica}`, sql);
        expect(rows).toEqual([{ count: count === states.length ? 114 : 57, old: 57 }]);
      }
    },
  );
});
