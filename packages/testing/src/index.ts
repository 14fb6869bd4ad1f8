export * from "./daemon.ts";
export * from "./environment.ts";
export * from "./eventually.ts";
export * from "./firecracker-double.ts";
export * from "./refusal.ts";
export * from "./tidy.ts";
export { copyCheckout, copyFile, sendTree } from "./guest-checkout.ts";
export * from "./internet/index.ts";
export * from "./guest/index.ts";
