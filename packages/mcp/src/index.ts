export type { Daemon } from "./daemon.ts";
export { makeMcpServer, type Offer } from "./server.ts";
export { toolNames } from "./tools/index.ts";
