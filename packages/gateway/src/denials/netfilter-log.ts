import { close, read } from "node:fs";
import { promisify } from "node:util";
import { openNetlink, sendNetlink } from "@workfort/host/native/libc.ts";

/** linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_log.h */
const netfilterProtocol = 12; // NETLINK_NETFILTER
const logSubsystem = 4; // NFNL_SUBSYS_ULOG
const messagePacket = 0; // NFULNL_MSG_PACKET
const messageConfig = 1; // NFULNL_MSG_CONFIG
const request = 1 | 4; // NLM_F_REQUEST | NLM_F_ACK
const configure = { command: 1, mode: 2, timeout: 4, threshold: 5 }; // NFULA_CFG_*
const bindCommand = 1; // NFULNL_CFG_CMD_BIND
const copyPacket = 2; // NFULNL_COPY_PACKET
const attribute = { header: 1, interfaceIn: 4, physicalIn: 6, payload: 9, prefix: 10 }; // NFULA_*

const copiedBytes = 128;
/** for which the kernel gathers packets into one message, 1/100 s, and how many */
const gatherTime = 10;
const gatherCount = 64;
const bufferBytes = 256 * 1024;

/** a packet that a rule has logged */
export interface LoggedPacket {
  prefix: string;
  /** EtherType */
  etherType: number;
  /** of the port by which it came, where the bridge has logged it */
  interfaceIndex: number;
  /** its beginning, from the network header on */
  payload: Buffer;
}

/** What rules log to a group of NFLOG, packet by packet. */
export class NetfilterLog {
  readonly #fd: number;
  readonly #group: number;
  #stopped = false;

  constructor(group: number, tell: (packet: LoggedPacket) => void) {
    this.#group = group;
    this.#fd = openNetlink(netfilterProtocol);
    this.#configure(configure.command, Buffer.from([bindCommand]));
    const mode = Buffer.alloc(6);
    mode.writeUInt32BE(copiedBytes, 0);
    mode[4] = copyPacket;
    this.#configure(configure.mode, mode);
    this.#configure(configure.timeout, number(gatherTime));
    this.#configure(configure.threshold, number(gatherCount));
    void this.#read(tell);
  }

  /** Has the kernel answer something, so that the thread that waits for it ends. */
  close(): void {
    this.#stopped = true;
    this.#configure(configure.threshold, number(gatherCount));
  }

  async #read(tell: (packet: LoggedPacket) => void): Promise<void> {
    const buffer = Buffer.alloc(bufferBytes);
    const readInto = promisify(read);
    while (!this.#stopped) {
      try {
        const { bytesRead } = await readInto(this.#fd, buffer, 0, buffer.length, null);
        for (const packet of packetsIn(buffer.subarray(0, bytesRead))) tell(packet);
      } catch (error) {
        // ENOBUFS: more was logged than read, and some of it is lost
        if ((error as NodeJS.ErrnoException).code !== "ENOBUFS" && (error as NodeJS.ErrnoException).code !== "EINTR")
          break;
      }
    }
    close(this.#fd, () => {});
  }

  #configure(type: number, value: Buffer): void {
    const padded = Math.ceil(value.length / 4) * 4;
    const message = Buffer.alloc(24 + padded);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt16LE((logSubsystem << 8) | messageConfig, 4);
    message.writeUInt16LE(request, 6);
    message.writeUInt16BE(this.#group, 18);
    message.writeUInt16LE(4 + value.length, 20);
    message.writeUInt16LE(type, 22);
    value.copy(message, 24);
    sendNetlink(this.#fd, message);
  }
}

/** The packets in what netlink has given; of the kernel's making, and of guests' within. */
export function packetsIn(bytes: Buffer): LoggedPacket[] {
  const packets: LoggedPacket[] = [];
  for (let at = 0; at + 20 <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    if (length < 16 || at + length > bytes.length) break;
    if (bytes.readUInt16LE(at + 4) === ((logSubsystem << 8) | messagePacket))
      packets.push(packetIn(bytes.subarray(at + 20, at + length)));
    at += Math.ceil(length / 4) * 4;
  }
  return packets;
}

function packetIn(attributes: Buffer): LoggedPacket {
  const packet: LoggedPacket = { prefix: "", etherType: 0, interfaceIndex: 0, payload: Buffer.alloc(0) };
  for (let at = 0; at + 4 <= attributes.length;) {
    const length = attributes.readUInt16LE(at);
    if (length < 4 || at + length > attributes.length) break;
    const value = attributes.subarray(at + 4, at + length);
    const type = attributes.readUInt16LE(at + 2) & 0x3fff;
    if (type === attribute.prefix) packet.prefix = value.toString("latin1").replace(/\0.*$/s, "");
    if (type === attribute.header && value.length >= 2) packet.etherType = value.readUInt16BE(0);
    const isInterface =
      type === attribute.physicalIn || (type === attribute.interfaceIn && packet.interfaceIndex === 0);
    if (isInterface && value.length >= 4) packet.interfaceIndex = value.readUInt32BE(0);
    if (type === attribute.payload) packet.payload = Buffer.from(value); // the buffer is used again
    at += Math.ceil(length / 4) * 4;
  }
  return packet;
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
