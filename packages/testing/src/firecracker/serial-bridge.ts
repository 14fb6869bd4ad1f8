import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { openChannel } from "@workfort/host/vmm/qemu/hello.ts";
import type { GuestLine } from "./guest-line.ts";

/**
 * CONNECT *bridged to virtio-serial*, for guests whose memory is to be saved: QEMU does not save one with a vhost-user
 * device. The one port of the guest agent can be reached, by one connection at a time, and the guest has no AF_VSOCK to
 * its host.
 */
const agentPort = 7300;

export class SerialBridge implements GuestLine {
  readonly description = "CONNECT bridged to virtio-serial; the guest sees no AF_VSOCK";
  readonly #channel = `workfort-double-${process.pid}-${randomBytes(6).toString("hex")}`;
  readonly isReadyWithAgent = true;
  #isTaken = false;
  #isReady = false;

  get guestArguments(): string[] {
    return [
      "-device",
      "virtio-serial-device,max_ports=2",
      "-chardev",
      `socket,id=agent,path=${this.#channel},abstract=on,tight=on,server=on,wait=off`,
      "-device",
      "virtserialport,chardev=agent,nr=1,name=org.workfort.agent.0",
    ];
  }

  async isReady(): Promise<boolean> {
    if (this.#isReady) return true;
    const stream = await this.open(agentPort);
    stream?.destroy();
    this.#isReady = stream !== null;
    return this.#isReady;
  }

  async open(port: number): Promise<Socket | null> {
    if (port !== agentPort || this.#isTaken) return null;
    this.#isTaken = true;
    const dial = async (): Promise<Socket> => {
      const socket = connect(`\0${this.#channel}`);
      await once(socket, "connect");
      return socket;
    };
    const socket = await openChannel(dial, new AbortController().signal).catch(() => null);
    if (socket === null) this.#isTaken = false;
    else socket.once("close", () => (this.#isTaken = false));
    return socket;
  }

  stop(): void {}
}
