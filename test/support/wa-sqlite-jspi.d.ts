// The package declares its other builds and leaves this one out.
declare module "@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs" {
  export default function load(options?: { readonly wasmBinary?: Uint8Array }): Promise<unknown>;
}
