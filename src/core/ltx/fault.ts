// The errors of this format: what is wrong, in which file, at which byte, and what to do next.
import { errorCodes } from "../base/error-codes.ts";
import { HeadwaterError } from "../base/errors.ts";

type LtxErrorCode = "ltx/short" | "ltx/invalid" | "ltx/checksum" | "ltx/order";

/** The file and the byte of it that a fault lies in. */
export interface FilePlace {
  readonly name: string;
  readonly offset: number;
}

/** Makes the error for `problem`, a clause without a full stop. */
export function ltxFault(
  code: LtxErrorCode,
  { name, offset }: FilePlace,
  problem: string,
): HeadwaterError {
  const message = `${name}, byte ${offset}: ${problem}. ${errorCodes[code].next}`;
  return new HeadwaterError(code, message, { data: { name, offset } });
}
