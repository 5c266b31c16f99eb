// The first message of SQLite's thread in Node: it has loaded SQLite. Not of the protocol, which begins with its owner.
export const readyMessage = "ready";
