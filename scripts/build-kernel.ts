// Compiles the codec's kernel to WebAssembly and writes it, as base64, into a TypeScript module: no fetch, no
// bundler plug-in, no path to resolve. A test rebuilds it and compares.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as asc from "assemblyscript/asc";

const root = fileURLToPath(new URL("..", import.meta.url));
const sourcePath = "src/core/codec/kernel.as.ts";
const generatedPath = "src/core/codec/kernel.generated.ts";

const flags = [
  "-O3",
  "--converge",
  "--noAssert",
  "--runtime",
  "stub",
  "--enable",
  "simd",
  "--enable",
  "bulk-memory",
  "--importMemory",
  "--initialMemory",
  "2",
];

/** The text of `kernel.generated.ts`. The same compiler version gives the same text. */
export async function buildKernel(): Promise<string> {
  const outputs = new Map<string, Uint8Array>();
  const argv = [sourcePath, ...flags, "--baseDir", root, "--outFile", "kernel.wasm"];
  const messages: string[] = [];
  const { error } = await asc.main(argv, {
    stderr: { write: (message) => messages.push(String(message)) },
    writeFile: (name, contents) => {
      outputs.set(name, typeof contents === "string" ? Buffer.from(contents) : contents);
    },
  });
  const wasm = outputs.get("kernel.wasm");
  if (error !== null || wasm === undefined) {
    throw new Error(`The kernel does not compile.\n${messages.join("")}`, { cause: error });
  }
  const base64 = Buffer.from(wasm).toString("base64");
  return [
    "// Made from kernel.as.ts by `npm run build:kernel`. Do not edit.",
    "",
    "/** The compiled kernel, WebAssembly as base64. */",
    `export const kernelBase64 =\n  "${base64}";`,
    "",
  ].join("\n");
}

if (import.meta.main) writeFileSync(`${root}${generatedPath}`, await buildKernel());
