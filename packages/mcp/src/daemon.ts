import type { Client } from "@workfort/client";

/** What tools ask the daemon for: the client's face, whichever side of the socket it is on. */
export type Daemon = Pick<Client, "call" | "bytes" | "send">;
