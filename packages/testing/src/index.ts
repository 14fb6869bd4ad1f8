export * from "./daemon.ts";
export * from "./environment.ts";
export * from "./eventually.ts";
export * from "./tidy.ts";
