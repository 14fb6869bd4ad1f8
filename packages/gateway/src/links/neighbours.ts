import { closeSync } from "node:fs";
import { parseAddress } from "@workfort/core/network/ip.ts";
import { askNetlink, ioctl, openNetlink } from "@workfort/host/native/libc.ts";

/**
 * Where guests are, told to the kernel directly. `ip neigh` and `bridge fdb` first have every interface there is told to
 * them, so that what they take for one guest grows with the number of all.
 */
/** linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h, linux/sockios.h */
const routeProtocol = 0; // NETLINK_ROUTE
const newNeighbour = 28; // RTM_NEWNEIGH
const replaceOrCreate = 0x1 | 0x4 | 0x100 | 0x400; // NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE
const family = { bridge: 7, ipv4: 2, ipv6: 10 } as const; // AF_*
const state = { permanent: 0x80, static: 0x42 } as const; // NUD_PERMANENT; NUD_REACHABLE | NUD_NOARP
const ofMaster = 0x4; // NTF_MASTER
const attribute = { destination: 1, linkAddress: 2 } as const; // NDA_DST, NDA_LLADDR
const interfaceIndex = 0x8933; // SIOCGIFINDEX
const interfaceNameBytes = 16; // IFNAMSIZ
const interfaceRequestBytes = 40; // struct ifreq

export class Neighbours {
  readonly #fd = openNetlink(routeProtocol);

  /** The index of an interface of this namespace; rejects where there is none of the name. */
  async indexOf(name: string): Promise<number> {
    const request = Buffer.alloc(interfaceRequestBytes);
    request.write(name, 0, interfaceNameBytes - 1, "latin1");
    await ioctl(this.#fd, interfaceIndex, request, name);
    return request.readInt32LE(interfaceNameBytes);
  }

  /** Who has an address is known, and nobody is asked. */
  setAddress(bridge: number, address: string, macAddress: string): void {
    const parsed = parseAddress(address);
    if (parsed === null) throw new Error(`${address} is no address`);
    const digits = parsed.value.toString(16).padStart(parsed.family === 4 ? 8 : 32, "0");
    const destination = attributeOf(attribute.destination, Buffer.from(digits, "hex"));
    const kind = parsed.family === 4 ? family.ipv4 : family.ipv6;
    this.#set(kind, bridge, state.permanent, 0, [destination, linkAddress(macAddress)], address);
  }

  /** What is for a MAC address goes to this port of its bridge. */
  setPort(port: number, macAddress: string): void {
    this.#set(family.bridge, port, state.static, ofMaster, [linkAddress(macAddress)], macAddress);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #set(kind: number, index: number, is: number, flags: number, attributes: readonly Buffer[], about: string): void {
    const head = Buffer.alloc(28); // struct nlmsghdr, struct ndmsg
    const message = Buffer.concat([head, ...attributes]);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt16LE(newNeighbour, 4);
    message.writeUInt16LE(replaceOrCreate, 6);
    message[16] = kind;
    message.writeInt32LE(index, 20);
    message.writeUInt16LE(is, 24);
    message[26] = flags;
    askNetlink(this.#fd, message, about);
  }
}

function linkAddress(macAddress: string): Buffer {
  return attributeOf(attribute.linkAddress, Buffer.from(macAddress.replaceAll(":", ""), "hex"));
}

function attributeOf(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
}
