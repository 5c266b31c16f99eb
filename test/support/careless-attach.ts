// Attaches to a database and ends without closing anything: `careless-attach.ts PATH`.
import { silentLogger } from "../../src/core/base/log.ts";
import { systemClock } from "../../src/node/base/clock.ts";
import { openCapture } from "../../src/node/capture/capture.ts";

const [path = ""] = process.argv.slice(2);
const capture = await openCapture({ path, clock: systemClock, logger: silentLogger });
capture.capture();
console.log(capture.walSizeBytes);
