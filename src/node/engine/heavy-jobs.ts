// Compactions and full images take bandwidth, a core and memory: one at a time in this process, whatever it replicates.
import { Mutex } from "../../core/base/async.ts";

export const heavyJobs = new Mutex();
