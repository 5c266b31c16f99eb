// A page whose frame does not hold it, whether its reader waits or stands still.
import { HeadwaterError } from "../base/errors.ts";
import type { WantedFrame } from "./request-plan.ts";

/** The error for a frame that was damaged twice. */
export function corruptPage(
  { pgno, frame: { offset } }: WantedFrame,
  key: string,
  cause: unknown,
): HeadwaterError {
  return new HeadwaterError(
    "view/corrupt-page",
    `Page ${pgno} in ${key}, byte ${offset}, is damaged, and was so twice. Read another TXID, or run ` +
      "headwater verify to see what it can be repaired from.",
    { data: { pgno, key, offset }, cause },
  );
}
