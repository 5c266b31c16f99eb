// The golden replicas, followed from their first restore point to the last as their files appear.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { copyGolden, goldenSetNames } from "../../../test/support/golden.ts";
import { SteppedFollower, bytesOf, partOf, patchedLike } from "../../../test/support/follow.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { systemEnvironment } from "../restore/environment.ts";
import { restoreIn } from "../restore/restore.ts";

describe.each(goldenSetNames().filter((name) => name !== "daemon-s3-4096"))(
  "golden set %s",
  (name) => {
    it("is at every recorded restore point what restore gives", async () => {
      using set = copyGolden(name);
      using directory = temporaryDirectory();
      const replica = pathToFileURL(set.path).href;
      const layout = layoutForUrl(replica);
      let visible = 0n;
      const environment = systemEnvironment();
      const openReplica: typeof environment.openReplica = async (url, options) =>
        partOf(await environment.openReplica(url, options), ({ key }) => {
          const file = layout.parse(key);
          return file === undefined || file.maxTxid <= visible;
        });
      const points = set.restores.filter(({ sha256 }) => sha256 !== undefined);
      visible = points[0]?.txid ?? 0n;
      const output = directory.file("followed.db");
      await using follower = await SteppedFollower.open(replica, { output }, { openReplica });
      for (const { txid } of points) {
        visible = txid;
        expect(await follower.catchUp()).toBe(txid);
        const restored = join(directory.path, `${txid}.db`);
        await restoreIn(environment, { replica, output: restored, txid });
        const found = bytesOf(output);
        const isEqual = Buffer.compare(found, patchedLike(bytesOf(restored), found)) === 0;
        expect({ txid, isEqual }).toEqual({ txid, isEqual: true });
      }
      expect(follower.events).not.toContain("follow.failed");
    });
  },
);
