// headwater/ltx: the LTX file format. Runs anywhere.
export type { Codec, CodecEngine } from "./core/codec/codec.ts";
export { openCodec } from "./core/codec/codec.ts";
export type { OpenLtxOptions, PageBatch } from "./core/ltx/decoder.ts";
export { LtxReader, openLtx } from "./core/ltx/decoder.ts";
export type { PageSource } from "./core/ltx/encoder.ts";
export { encodeLtx, LtxEncoder } from "./core/ltx/encoder.ts";
export { formatLtxName, parseLtxName } from "./core/ltx/file-name.ts";
export type { LtxHeader, LtxProof } from "./core/ltx/header.ts";
export { decodeHeader, encodeHeader, ltxHeaderSizeBytes } from "./core/ltx/header.ts";
export type { SinglePage } from "./core/ltx/page-block.ts";
export { decodePageFrame } from "./core/ltx/page-block.ts";
export { checksumPages, PageChecksums } from "./core/ltx/page-checksums.ts";
export type { PageIndexEntry, PageIndexTail } from "./core/ltx/page-index.ts";
export { readPageIndex } from "./core/ltx/page-index.ts";
export type { LtxTrailer } from "./core/ltx/trailer.ts";
export type { Txid } from "./core/ltx/txid.ts";
export { formatTxid, nextTxid, parseTxid, toTxid } from "./core/ltx/txid.ts";
