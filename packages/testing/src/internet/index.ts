export * as addresses from "./addresses.ts";
export { withInternet, Internet, type InternetOptions } from "./internet.ts";
export { makeMirrors, mirrored } from "./mirrors.ts";
export { Namespace } from "./namespace.ts";
export { readAnswer, writeQuestion, type ReadAnswer, type RecordType } from "./world/dns-message.ts";
export type { DnsAnswer } from "./world/dns-zone.ts";
export { discardPort, type Seen } from "./world/calls.ts";
