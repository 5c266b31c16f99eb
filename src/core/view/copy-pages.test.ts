import { beforeEach, describe, expect, it } from "vitest";
import { sampleHistory } from "../../../test/support/replica-builder.ts";
import { ViewReplica, atTxid, codeOf, singles } from "../../../test/support/view-replica.ts";
import { openCodec } from "../codec/codec.ts";
import { CopyBlocks, type PageCopy } from "./copy-blocks.ts";
import { copyPages } from "./copy-pages.ts";
import type { CopyIndex } from "./copy-index.ts";
import type { ReplicaViews } from "./replica-views.ts";
import type { View } from "./view.ts";

const codec = openCodec();
const history = sampleHistory();
const image = { level: 9, min: 1, max: 3 };

let replica: ViewReplica;
beforeEach(async () => {
  replica = new ViewReplica();
  await replica.putHistory(history, [image, ...singles(2, 10)]);
});

interface Copied {
  readonly index: CopyIndex;
  readonly bytes: Uint8Array;
}

async function copy(views: ReplicaViews, view: View): Promise<Copied> {
  const { map } = view;
  const bytes = new Uint8Array(map.commit * map.pageSize);
  const index = await copyPages({
    store: replica.store,
    codec,
    state: view.state,
    fileOf: (number) => views.fileOf(number),
    write: async (part, offset) => bytes.set(part, offset),
  });
  return { index, bytes };
}

describe("copying the pages of a view", () => {
  it("gives the database of each TXID, and says where every page came from", async () => {
    await using views = await replica.open();
    for (let txid = 3; txid <= 10; txid++) {
      using view = await views.at(atTxid(txid), {});
      const { index, bytes } = await copy(views, view);
      expect(bytes).toEqual(history.databaseAt(txid));
      expect(index.missingShare(view.map, (number) => views.fileOf(number))).toBe(0);
    }
  });

  it("fails for pages that make another database than the files prove", async () => {
    const file = { level: 0, min: 10, max: 10 };
    const [pgno] = history.pagesAt(10).keys();
    const swapped = new Map([[pgno ?? 0, new Uint8Array(4096).fill(7)]]);
    await replica.put(file, await history.fileOf(file, {}, swapped));
    await using views = await replica.open();
    using view = views.newest();
    expect(await codeOf(copy(views, view))).toBe("replica/proof");
  });

  it("fails for a file that is gone", async () => {
    await using views = await replica.open();
    using view = views.newest();
    await replica.delete(image);
    expect(await codeOf(copy(views, view))).toBe("store/changed");
  });
});

describe("blocks of a copy", () => {
  it("give one page, then all of a block, and refuse pages that were altered", async () => {
    await using views = await replica.open();
    using view = views.newest();
    const { index, bytes } = await copy(views, view);
    let reads = 0;
    const readNow = (offset: number, length: number): Uint8Array => {
      reads++;
      return bytes.slice(offset, offset + length);
    };
    const copied: PageCopy = {
      index,
      readNow,
      read: async (offset, length) => readNow(offset, length),
    };
    const blocks = new CopyBlocks(copied, codec);
    const taken: number[] = [];
    const take = (pgno: number, page: Uint8Array): void => {
      taken.push(pgno);
      expect(page).toEqual(history.databaseAt(10).slice((pgno - 1) * 4096, pgno * 4096));
    };
    await blocks.load(5, take);
    expect(taken.splice(0)).toEqual([5]);
    blocks.loadNow(2, take);
    expect(taken).toEqual([1, 3, 4, 5, 6, 7, 8, 2]);
    expect(reads).toBe(1);
    bytes[4096 * 3] = (bytes[4096 * 3] ?? 0) ^ 1;
    const altered = new CopyBlocks(copied, codec);
    expect(await codeOf(altered.load(5, take))).toBe("view/corrupt-page");
    const short = new CopyBlocks({ ...copied, read: async () => new Uint8Array(9) }, codec);
    expect(await codeOf(short.load(5, take))).toBe("view/corrupt-page");
  });
});
