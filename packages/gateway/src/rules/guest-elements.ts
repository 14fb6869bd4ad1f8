import type { GatewaySettings, GatewayVm } from "@workfort/host/network/gateway-protocol.ts";
import { linkLocalOf } from "../links/link-local.ts";
import { placeMark, type PolicyRules } from "./policy-rules.ts";

/** of a guest's bytes that may come at once where its speed is bounded; a segment that the kernel has joined has 64 KiB */
const minBurstBytes = 256 * 1024;
const maxBurstBytes = 2 ** 31;

/** an element of a set or map: what finds it, and what it says */
export interface Element {
  set: string;
  key: string;
  value: string;
}

/** What makes a guest known to the rules. */
export function guestElements(vm: GatewayVm, rules: PolicyRules, settings: GatewaySettings): Element[] {
  const { macAddress, ipv4, ipv6, policy } = vm;
  const tap = `"${vm.tap}"`;
  const of = (set: string, key: string, value = ""): Element => ({ set, key, value });
  const bridge = (name: string, key: string, value = ""): Element => of(`bridge workfort ${name}`, key, value);
  const inet = (name: string, more = "", value = ""): Element[] => [
    of(`inet workfort ${name}4`, `${ipv4}${more}`, value),
    of(`inet workfort ${name}6`, `${ipv6}${more}`, value),
  ];
  const offered = settings.services.filter(({ name }) => policy.services.includes(name));
  return [
    bridge("taps", `${tap} . ${macAddress}`),
    bridge("sender4", `${tap} . ${macAddress} . ${ipv4}`),
    bridge("sender6", `${tap} . ${macAddress} . ${ipv6}`),
    bridge("sender6", `${tap} . ${macAddress} . ${linkLocalOf(macAddress)}`),
    ...["sent", "received", "forged"].map((name) => bridge(name, tap)),
    ...limit("sendlimits", policy.sendBytesPerSecond),
    ...limit("receivelimits", policy.receiveBytesPerSecond),
    ...inet("denied"),
    ...inet("out", "", ` : goto ${rules.outChain}`),
    ...inet("back", "", ` : goto ${rules.backChain}`),
    ...(rules.webChain === null ? [] : inet("web", "", ` : goto ${rules.webChain}`)),
    ...offered.flatMap(({ port }) => inet("services", ` . ${port}`)),
  ];

  function limit(name: string, bytesPerSecond: number | null): Element[] {
    if (bytesPerSecond === null) return [];
    const burst = Math.min(Math.max(minBurstBytes, Math.floor(bytesPerSecond / 8)), maxBurstBytes);
    return [bridge(name, tap, ` limit rate over ${bytesPerSecond} bytes/second burst ${burst} bytes`)];
  }
}

/** Makes what is there what is wanted; an element that stays is left alone, with what it counts. */
export function exchange(before: readonly Element[], after: readonly Element[]): string {
  const whole = ({ set, key, value }: Element): string => `${set} { ${key}${value} }`;
  const old = new Set(before.map(whole));
  const kept = new Set(after.map(whole));
  return [
    ...before.filter((element) => !kept.has(whole(element))).map(({ set, key }) => `delete element ${set} { ${key} }`),
    ...after.filter((element) => !old.has(whole(element))).map((element) => `add element ${whole(element)}`),
  ].join("\n");
}

/** an address that a name has led a guest to, on one of its policy's ports by their place */
export interface OpenAddress {
  address: string;
  place: number;
  seconds: number;
}

/** Opens addresses for a while; what is open already stays so for the new time. */
export function openText({ ipv4, ipv6 }: GatewayVm, opened: readonly OpenAddress[]): string {
  return opened
    .flatMap(({ address, place, seconds }) => {
      const { set, key } = nameElement(address, place);
      // kernels before 6.12 do not change the time of an element that is there
      return [
        `add element ${set} { ${key} timeout ${seconds}s }`,
        `delete element ${set} { ${key} }`,
        `add element ${set} { ${key} timeout ${seconds}s }`,
      ];
    })
    .join("\n");

  function nameElement(address: string, place: number): { set: string; key: string } {
    return address.includes(":")
      ? { set: "inet workfort names6", key: `${ipv6} . ${address} . ${placeMark(place)}` }
      : { set: "inet workfort names4", key: `${ipv4} . ${address} . ${placeMark(place)}` };
  }
}

/** Closes them, whether they are still open or not. */
export function closeText(vm: GatewayVm, opened: readonly Omit<OpenAddress, "seconds">[]): string {
  // that of `openText` without its last line
  return opened
    .flatMap((one) =>
      openText(vm, [{ ...one, seconds: 1 }])
        .split("\n")
        .slice(0, 2),
    )
    .join("\n");
}
