export { copyNodeAndNpm } from "./node-tree.ts";
export * from "./packets.ts";
export * from "./probe.ts";
export * from "./tls-hello.ts";
