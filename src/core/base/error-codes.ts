// The closed table of error codes. `docs/errors.md` is this table; a test keeps them equal and checks that
// each code is raised somewhere.

interface ErrorCodeEntry {
  readonly recovery: "retry" | "resync" | "reset" | "fatal";
  /** What it means, for the operator. */
  readonly means: string;
  /** What to do about it. */
  readonly next: string;
}

const table = {
  // --- ltx: the file format -------------------------------------------------------------------------
  "ltx/short": {
    recovery: "fatal",
    means: "An LTX file ends before its trailer.",
    next: "The object was cut off. Restore to a TXID before it, or from another level that covers it.",
  },
  "ltx/invalid": {
    recovery: "fatal",
    means: "A field of an LTX file has a value the format forbids.",
    next: "The object is damaged or not an LTX file. Move it away and verify the replica again.",
  },
  "ltx/checksum": {
    recovery: "fatal",
    means: "The bytes of an LTX file do not match its checksum.",
    next: "The object is damaged. Restore to a TXID before it, or from another level that covers it.",
  },
  "ltx/order": {
    recovery: "fatal",
    means: "Pages or files are not in the order the format demands.",
    next: "The replica has a hole or a foreign file. `headwater verify` names it.",
  },

  // --- sqlite: SQLite's own files -------------------------------------------------------------------
  "sqlite/invalid": {
    recovery: "fatal",
    means: "A file is not a SQLite database, WAL or wal-index that can be read.",
    next: "Check the path. An encrypted database cannot be opened without its key and is not supported.",
  },

  // --- store: object storage ------------------------------------------------------------------------
  "store/exists": {
    recovery: "fatal",
    means: "A create-only put found an object of that name.",
    next: "Somebody else writes to this replica, or our own put succeeded and its reply was lost.",
  },
  "store/changed": {
    recovery: "fatal",
    means: "A conditional put or get found that the object had changed.",
    next: "Read the object again and decide anew.",
  },
  "store/unavailable": {
    recovery: "retry",
    means: "The store did not answer, or answered that it is overloaded.",
    next: "Headwater retries by itself. Check the endpoint and the network if it lasts.",
  },
  "store/denied": {
    recovery: "fatal",
    means: "The store refused the credentials or the permission.",
    next: "Check the access key, the secret, and the permissions on the bucket or directory.",
  },
  "store/missing-bucket": {
    recovery: "fatal",
    means: "The bucket or container does not exist.",
    next: "Create it, or correct the replica URL.",
  },
  "store/url": {
    recovery: "fatal",
    means: "A replica URL cannot be understood.",
    next: "Use file:///absolute/path or s3://bucket/path, or https://host/path to read.",
  },
  "store/length": {
    recovery: "fatal",
    means: "A body had another length than was announced, or an object was cut off while reading.",
    next: "Nothing was stored. Try again; if it stays, the source of the bytes is changing underneath.",
  },
  "store/failed": {
    recovery: "fatal",
    means: "The store refused a request for another reason, which the message gives.",
    next: "Read the message of the store.",
  },

  // --- replica: a store seen as a history -----------------------------------------------------------
  "replica/empty": {
    recovery: "fatal",
    means: "There is no backup at that URL.",
    next: "Check the URL; `headwater ltx URL` lists what is there.",
  },
  "replica/unreachable-txid": {
    recovery: "fatal",
    means: "No sequence of files ends exactly at that TXID.",
    next: "The message lists the TXIDs that can be restored.",
  },
  "replica/unreachable-time": {
    recovery: "fatal",
    means: "The time lies before the first restore point.",
    next: "The message gives the first and the last restore point.",
  },
  "replica/gap": {
    recovery: "fatal",
    means: "The files of the replica leave a hole in the history.",
    next: "`headwater verify URL` names it. TXIDs before the hole can still be restored.",
  },
  "replica/proof": {
    recovery: "fatal",
    means: "The restored pages are not the pages that were captured.",
    next: "An object was altered without breaking its checksum, or a file is missing. Restore an earlier TXID.",
  },
  "replica/foreign-file": {
    recovery: "fatal",
    means: "A file of the replica belongs to another database or has another page size.",
    next: "The message names it. Move it away and verify again.",
  },
  "replica/manifest": {
    recovery: "fatal",
    means: "The manifest of a replica is missing, damaged, or of a version that is not known.",
    next: "Replicate with `manifest: true`, which writes it anew, or read the replica by s3:// or file://.",
  },
  "replica/generation": {
    recovery: "fatal",
    means:
      "A file of a Litestream 0.3 backup is damaged, or the generation or index asked for is not in it.",
    next: "The message names it. Restore an earlier time, or an index before it with --generation and --index.",
  },

  // --- view: pages of a replica without a download ----------------------------------------------------
  "view/too-old": {
    recovery: "retry",
    means: "Snapshot too old: the files of the TXID that is being read were merged or deleted.",
    next: "End the transaction and read again: a new one sees the newest state. Keep history longer with the retention keys.",
  },
  "view/history-changed": {
    recovery: "fatal",
    means: "The replica that is open was begun anew, or lost its newest files: its TXIDs go back.",
    next: "Open it again to read what is there now. Until then what is read is the state before, as long as its files are there.",
  },
  "view/corrupt-page": {
    recovery: "fatal",
    means: "A page of the replica does not decode, or is not the page that was written.",
    next: "Read another TXID; `headwater verify URL` names what is damaged and what it can be repaired from.",
  },
  "view/closed": {
    recovery: "fatal",
    means: "The replica was closed while something was read from it.",
    next: "Open it again.",
  },

  // --- push: the stream of a primary ------------------------------------------------------------------
  "push/stream": {
    recovery: "retry",
    means: "The stream of a primary was cut off, fell silent, or is not such a stream.",
    next: "The follower reads the store and connects again by itself. If it goes on, the address is that of something else.",
  },
  "push/refused": {
    recovery: "retry",
    means: "The primary does not answer, or does not serve a stream of that database to us.",
    next: "The message has its answer. The follower reads the store meanwhile; check the address, the token and the `push` keys.",
  },

  // --- restore --------------------------------------------------------------------------------------
  "restore/replicas": {
    recovery: "retry",
    means: "Of several replicas one cannot be listed, so the newest of them is not known.",
    next: "Start again when the store answers, or restore by hand from another replica.",
  },
  "restore/output-exists": {
    recovery: "fatal",
    means: "The output file, or a -wal, -shm or -journal file beside it, already exists.",
    next: "Choose another output, or pass --force to replace it after a successful restore.",
  },
  "restore/output": {
    recovery: "fatal",
    means: "The output cannot be written.",
    next: "Check the directory, its permissions and the free space.",
  },
  "restore/all": {
    recovery: "fatal",
    means:
      "One of the databases of `restore --all` cannot be restored, so none of them was replaced.",
    next: "The message names it and the reason. Mend that, or pass --partial to restore the others.",
  },
  "restore/integrity": {
    recovery: "fatal",
    means: "SQLite's own integrity check failed on the restored database.",
    next: "The source was already damaged, or the replica is. Restore an earlier TXID.",
  },

  // --- follow: a local copy that is kept up to date ---------------------------------------------------
  "follow/blocked": {
    recovery: "retry",
    means: "A transaction of another program has kept the output locked for a minute.",
    next: "End it: the message names the program where the system tells. Following goes on by itself then.",
  },
  "follow/locked": {
    recovery: "fatal",
    means:
      "Another Headwater follows a replica into the same output, or hydrates into the same file.",
    next: "Stop it first, or choose another path.",
  },
  "follow/replicated": {
    recovery: "fatal",
    means: "The output is itself a database that is replicated, or was.",
    next: "Choose another output. If it is no longer replicated, delete the directory that the message names.",
  },
  "follow/stopped": {
    recovery: "fatal",
    means: "Following has been stopped or its process has ended.",
    next: "Start it again: it goes on where the output is.",
  },

  // --- query: SQLite over a replica -----------------------------------------------------------------
  "query/sql": {
    recovery: "fatal",
    means: "SQLite refuses a statement on a replica.",
    next: "The message is SQLite's own. `headwater shell URL` has `.tables` and `.schema`.",
  },
  "query/read-only": {
    recovery: "fatal",
    means: "A statement would write, and a replica is read-only.",
    next: "Write to the database that is replicated; the message says where that is, if it is known.",
  },
  "query/corrupt": {
    recovery: "fatal",
    means: "SQLite finds a page of the database damaged.",
    next: "Run `headwater verify URL`; query an earlier moment if the source was damaged.",
  },
  "query/hydrate": {
    recovery: "fatal",
    means: "The file to hydrate into is no copy that Headwater has made.",
    next: "Choose another path, or move the file away if it is not needed.",
  },
  "query/closed": {
    recovery: "fatal",
    means: "The replica was closed, or the thread that SQLite runs in has ended.",
    next: "Open the replica again.",
  },

  // --- capture: the live database -------------------------------------------------------------------
  "capture/not-a-database": {
    recovery: "fatal",
    means: "The file at the path is not a SQLite database that can be opened.",
    next: "Check the path. Encrypted databases are not supported.",
  },
  "capture/unreadable": {
    recovery: "fatal",
    means: "The database or its directory cannot be read or written.",
    next: "Check owner and permissions: Headwater needs to read the database and write beside it.",
  },
  "capture/locked": {
    recovery: "retry",
    means: "Another connection holds the database locked.",
    next: "An application with locking_mode=EXCLUSIVE cannot be replicated; a busy one is tried again.",
  },
  "capture/gone": {
    recovery: "retry",
    means: "The database was deleted or replaced while it was being replicated.",
    next: "Headwater attaches again when a database is there; its history stays.",
  },
  "capture/empty": {
    recovery: "retry",
    means: "The file has no bytes yet: no database has been written into it.",
    next: "Nothing: Headwater attaches as soon as an application creates a table in it.",
  },
  "capture/gap": {
    recovery: "resync",
    means: "The WAL no longer continues where capture stopped.",
    next: "Nothing: Headwater compares the database with its page checksums and sends what differs.",
  },
  "capture/page-size": {
    recovery: "fatal",
    means: "The page size of the database is not the one of its replica.",
    next: "Start a new replica path for the new page size.",
  },

  // --- engine: replication --------------------------------------------------------------------------
  "engine/locked": {
    recovery: "fatal",
    means: "Another Headwater replicates this database already.",
    next: "Stop it first; the message gives its process id.",
  },
  "engine/state": {
    recovery: "reset",
    means: "The state directory cannot be read or belongs to something else.",
    next: "Delete the state directory: the next start takes a full image and loses nothing.",
  },
  "engine/another-writer": {
    recovery: "fatal",
    means: "Another writer puts files into the same replica, or holds its lease.",
    next: "Stop the other writer, or give each its own URL. The message says who it is and since when; `headwater lease URL` shows it.",
  },
  "engine/replicas": {
    recovery: "fatal",
    means: "Some of the replicas of a database did not get everything; the others are complete.",
    next: "The message names each of them with its reason. What is missing there goes up at the next start.",
  },
  "engine/disk-full": {
    recovery: "retry",
    means: "There is no space left for staging.",
    next: "Free space; Headwater goes on by itself and has lost nothing.",
  },
  "engine/stopped": {
    recovery: "fatal",
    means: "The replication has been stopped or its process has ended.",
    next: "Start it again.",
  },
  "engine/litestream": {
    recovery: "fatal",
    means: "A Litestream works on the same database.",
    next: "Stop Litestream, then start Headwater again: its state is set aside and its replica continued.",
  },
  "engine/fleet": {
    recovery: "fatal",
    means: "Some of the databases of a configuration file could not be replicated or restored.",
    next: "The message names each of them with its reason; the others are complete.",
  },
  "engine/platform": {
    recovery: "fatal",
    means: "Replicating does not work on this operating system.",
    next: "Replicate on Linux; restore, ltx and verify run everywhere.",
  },

  // --- control: a running Headwater, and who gives it orders -----------------------------------------
  "control/listen": {
    recovery: "fatal",
    means: "The control socket, or an address of a server, cannot be listened on.",
    next: "The message says why. Replication goes on without it; correct the place and start again.",
  },
  "control/unreachable": {
    recovery: "retry",
    means: "No Headwater answers on the control socket.",
    next: "Start `headwater replicate` with `socket: enabled: true` in its configuration file, or name its socket.",
  },
  "control/refused": {
    recovery: "fatal",
    means: "A running Headwater could not do what it was told.",
    next: "The message says why; its log says more.",
  },
  "control/unknown-database": {
    recovery: "fatal",
    means: "A running Headwater does not know the database.",
    next: "`headwater list` prints those it knows; `headwater register` adds one.",
  },
  "control/timeout": {
    recovery: "retry",
    means: "What was asked of a running Headwater was not done in time; it goes on.",
    next: "Wait longer (-timeout), or look at the log for what keeps it.",
  },

  // --- config: the configuration file ---------------------------------------------------------------
  "config/invalid": {
    recovery: "fatal",
    means: "The configuration file cannot be read, or something in it is wrong.",
    next: "Each line of the message names a place in the file; docs/configuration.md lists every key.",
  },

  // --- usage ----------------------------------------------------------------------------------------
  "usage/invalid": {
    recovery: "fatal",
    means: "An option or argument is missing or wrong.",
    next: "The message says which; --help lists them all.",
  },
} as const satisfies Readonly<Record<string, ErrorCodeEntry>>;

export const errorCodes: { readonly [Code in keyof typeof table]: ErrorCodeEntry } = table;
