export type { Daemon } from "./daemon.ts";
export { makeMcpServer, type Offer } from "./server.ts";
