// Opens the WebAssembly engine.
import type { Codec } from "./codec.ts";

export function openWasmCodec(): Codec {
  throw new Error("not built yet");
}
