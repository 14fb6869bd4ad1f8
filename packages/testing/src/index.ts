export * from "./daemon.ts";
export * from "./environment.ts";
export * from "./eventually.ts";
