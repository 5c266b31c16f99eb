// LTX of a 200 MB database, against what one would build from packages: lz4-napi (native) for each page and zlib's
// CRC-32 over the same bytes. Both read and write the same kind of files in pieces of the same size.
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { compressSync, uncompressSync } from "lz4-napi";
import { openCodec } from "../src/core/codec/codec.ts";
import { openLtx } from "../src/core/ltx/decoder.ts";
import { encodeLtx } from "../src/core/ltx/encoder.ts";
import type { LtxHeader } from "../src/core/ltx/header.ts";
import { toTxid } from "../src/core/ltx/txid.ts";
import { compare } from "./support/compare.ts";
import { createSampleDatabase } from "./support/sample-database.ts";
import { printTable } from "./support/table.ts";

const pageSize = 4096;
const batchPages = 64;
const readBytes = 1024 * 1024;
const sizeBytes = 200e6;

const directory = mkdtempSync(join(tmpdir(), "headwater-bench-"));
const paths = {
  database: join(directory, "source.db"),
  ours: join(directory, "ours.ltx"),
  theirs: join(directory, "theirs.bin"),
  copy: join(directory, "copy.db"),
};

/** Opens a file for the time of `work`. */
async function withFile(
  path: string,
  flags: string,
  work: (fd: number) => Promise<void> | void,
): Promise<void> {
  const fd = openSync(path, flags);
  try {
    await work(fd);
  } finally {
    closeSync(fd);
  }
}

function nowhere(): void {
  // Verifying keeps nothing.
}

/** Where decoded pages go. */
type Sink = (pages: Uint8Array, position: number) => void;

const codec = openCodec();

const ours = {
  encode: (): Promise<void> =>
    withFile(paths.database, "r", (source) =>
      withFile(paths.ours, "w", async (target) => {
        const commit = statSync(paths.database).size / pageSize;
        const pgnos = Uint32Array.from({ length: commit }, (_, i) => i + 1);
        const header: LtxHeader = {
          pageSize,
          commit,
          minTxid: toTxid(1),
          maxTxid: toTxid(1),
          timestampMs: 1_700_000_000_000,
          noChecksum: true,
          preApplyChecksum: 0n,
          walOffset: 32n,
          walSize: 0n,
          walSalt1: 0,
          walSalt2: 0,
          nodeId: 1n,
          proof: undefined,
        };
        const chunks = encodeLtx(codec, header, pgnos, (_, from, count, into) => {
          readSync(source, into, 0, count * pageSize, from * pageSize);
        });
        for await (const chunk of chunks) writeSync(target, chunk);
      }),
    ),
  decode: (sink: Sink): Promise<void> =>
    withFile(paths.ours, "r", async (source) => {
      const reader = await openLtx(codec, chunksOf(source), { name: paths.ours });
      for await (const { pages, pgnos } of reader.pages()) {
        sink(pages, ((pgnos[0] ?? 0) - 1) * pageSize);
      }
    }),
};

async function* chunksOf(fd: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(readBytes);
  for (;;) {
    const length = readSync(fd, buffer);
    if (length === 0) return;
    yield buffer.subarray(0, length);
  }
}

// Theirs: per page number, flags and length as in LTX, then lz4-napi's own block (which starts with the page's length);
// at the end the CRC. No index, no page checksums: less work than ours.
const frameHeader = 10;

const theirs = {
  encode: (): Promise<void> =>
    withFile(paths.database, "r", (source) =>
      withFile(paths.theirs, "w", (target) => {
        const commit = statSync(paths.database).size / pageSize;
        const pages = Buffer.alloc(batchPages * pageSize);
        const output = Buffer.alloc(batchPages * (pageSize + 100));
        let crc = 0;
        for (let from = 0; from < commit; from += batchPages) {
          const count = Math.min(batchPages, commit - from);
          readSync(source, pages, 0, count * pageSize, from * pageSize);
          let at = 0;
          for (let i = 0; i < count; i++) {
            const page = pages.subarray(i * pageSize, (i + 1) * pageSize);
            const block = compressSync(page);
            output.writeUInt32BE(from + i + 1, at);
            output.writeUInt16BE(1, at + 4);
            output.writeUInt32BE(block.length, at + 6);
            crc = crc32(output.subarray(at, at + frameHeader), crc);
            crc = crc32(page, crc);
            output.set(block, at + frameHeader);
            at += frameHeader + block.length;
          }
          writeSync(target, output, 0, at);
        }
        output.writeUInt32BE(0, 0);
        output.writeUInt32BE(crc, 4);
        writeSync(target, output, 0, 8);
      }),
    ),
  decode: (sink: (page: Uint8Array, position: number) => void, flush: () => void): Promise<void> =>
    withFile(paths.theirs, "r", (source) => {
      const buffer = Buffer.alloc(readBytes + 2 * pageSize);
      let start = 0;
      let end = 0;
      let crc = 0;
      for (;;) {
        const isFrame = end - start >= frameHeader && buffer.readUInt32BE(start) !== 0;
        const size = isFrame ? frameHeader + buffer.readUInt32BE(start + 6) : frameHeader;
        if (end - start < size) {
          buffer.copyWithin(0, start, end);
          end -= start;
          start = 0;
          const length = readSync(source, buffer, end, readBytes, null);
          if (length === 0) break;
          end += length;
          continue;
        }
        const page = uncompressSync(buffer.subarray(start + frameHeader, start + size));
        crc = crc32(buffer.subarray(start, start + frameHeader), crc);
        crc = crc32(page, crc);
        sink(page, (buffer.readUInt32BE(start) - 1) * pageSize);
        start += size;
      }
      flush();
      if (buffer.readUInt32BE(start + 4) !== crc) throw new Error("wrong CRC");
    }),
};

try {
  console.log(`Making a database of ${sizeBytes / 1e6} MB ...`);
  createSampleDatabase(paths.database, { sizeBytes, pageSize });
  const databaseBytes = statSync(paths.database).size;
  await ours.encode();
  await theirs.encode();

  const image = new Uint8Array(databaseBytes);
  const intoMemory: Sink = (pages, position) => {
    image.set(pages, position);
  };

  const measures = [
    {
      what: "encode",
      target: 1.8,
      result: await compare({ run: ours.encode }, { run: theirs.encode }),
    },
    {
      what: "decode into memory",
      target: 2,
      result: await compare(
        { run: () => ours.decode(intoMemory) },
        { run: () => theirs.decode(intoMemory, nowhere) },
      ),
    },
    {
      what: "decode to a file",
      target: 1.4,
      result: await compare(
        {
          run: () =>
            withFile(paths.copy, "w", (target) =>
              ours.decode(
                (pages, position) => void writeSync(target, pages, 0, pages.length, position),
              ),
            ),
        },
        {
          run: () =>
            withFile(paths.copy, "w", (target) => {
              const batch = new Uint8Array(batchPages * pageSize);
              let used = 0;
              let start = 0;
              const flush = (): void => void writeSync(target, batch, 0, used, start);
              return theirs.decode((page, position) => {
                if (used === batch.length) {
                  flush();
                  used = 0;
                }
                if (used === 0) start = position;
                batch.set(page, used);
                used += page.length;
              }, flush);
            }),
        },
      ),
    },
    {
      what: "verify",
      target: 3,
      result: await compare(
        { run: () => ours.decode(nowhere) },
        { run: () => theirs.decode(nowhere, nowhere) },
      ),
    },
  ];

  const speed = (ms: number): string => (databaseBytes / 1e3 / ms).toFixed(0);
  console.log(
    `${codec.engine} engine, ${(databaseBytes / 1e6).toFixed(0)} MB, ` +
      `LTX ${((100 * statSync(paths.ours).size) / databaseBytes).toFixed(1)} %, ` +
      `theirs ${((100 * statSync(paths.theirs).size) / databaseBytes).toFixed(1)} % of it\n`,
  );
  printTable([
    ["measure", "ratio", "at least", "ours MB/s", "theirs MB/s"],
    ...measures.map(({ what, target, result }) => [
      what,
      `${result.ratio.toFixed(2)}x`,
      `${target}x`,
      speed(result.oursMs),
      speed(result.theirsMs),
    ]),
  ]);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
