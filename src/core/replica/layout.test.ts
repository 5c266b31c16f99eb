import { describe, expect, it } from "vitest";
import { toTxid } from "../ltx/txid.ts";
import { layoutForUrl, litestreamLayout, litestreamS3Layout } from "./layout.ts";

describe("replica layouts", () => {
  const file = { level: 9, minTxid: toTxid(1), maxTxid: toTxid(255) };

  it("name files as Litestream does on each backend", () => {
    expect(litestreamLayout.key(file)).toBe("ltx/9/0000000000000001-00000000000000ff.ltx");
    expect(litestreamS3Layout.key(file)).toBe("0009/0000000000000001-00000000000000ff.ltx");
    expect(litestreamLayout.levelPrefix(0)).toBe("ltx/0/");
    expect(litestreamS3Layout.levelPrefix(0)).toBe("0000/");
  });

  it("are chosen by the scheme of the URL", () => {
    expect(layoutForUrl("s3://bucket/app")).toBe(litestreamS3Layout);
    expect(layoutForUrl("file:///var/backups/app")).toBe(litestreamLayout);
  });

  it("read their own keys back and skip every other name", () => {
    for (const layout of [litestreamLayout, litestreamS3Layout]) {
      expect(layout.parse(layout.key(file))).toEqual(file);
      const prefix = layout.levelPrefix(0);
      for (const key of [
        `${prefix}0000000000000001-00000000000000FF.ltx`,
        `${prefix}0000000000000002-0000000000000001.ltx`,
        `${prefix}0000000000000001-0000000000000001.ltx.tmp`,
        `${prefix}nested/0000000000000001-0000000000000001.ltx`,
        `other/${prefix}0000000000000001-0000000000000001.ltx`,
        "manifest.json",
        "0000000000000001-0000000000000001.ltx",
      ]) {
        expect(layout.parse(key)).toBeUndefined();
      }
    }
  });
});
