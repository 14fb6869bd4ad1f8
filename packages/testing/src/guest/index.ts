export * from "./packets.ts";
export * from "./probe.ts";
export * from "./tls-hello.ts";
