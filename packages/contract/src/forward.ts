import * as z from "zod";
import { exactly, matching, says, wholeNumber } from "./fields.ts";
import { Name, VmId } from "./names.ts";

/** Ways from the host into a VM, through its agent: they work with every network, and with none. */

const PortNumber = wholeNumber(1, 65_535);

export const ForwardId = matching(/^fwd_[a-z2-7]{12}$/, "must be fwd_ and 12 characters of a-z and 2-7");
const socketPath = (where: string) =>
  matching(/^\/[^\0]{0,106}$/, `must be an absolute path ${where}, of at most 107 characters`);

/** a place on the host whose connections go into a VM, through its agent */
export const Forward = z.object({
  id: ForwardId,
  vmId: VmId,
  vmName: Name,
  listen: z.string().describe("`address:port`, or the path of a Unix socket"),
  guestPort: PortNumber.nullable(),
  guestSocket: z.string().nullable(),
  listening: z.boolean(),
  trouble: z.string().nullable().describe("why it does not listen"),
  openConnections: z.int(),
  createdAt: z.int(),
});
export type Forward = z.infer<typeof Forward>;

export const CreateForward = exactly({
  hostAddress: z.union([z.ipv4(), z.ipv6()], says("must be an IP address")).optional().describe("by default 127.0.0.1"),
  hostPort: wholeNumber(0, 65_535).optional().describe("0 takes a free one"),
  hostSocket: socketPath("on the daemon's machine")
    .optional()
    .describe("a Unix socket instead of a port; must not exist"),
  guestPort: PortNumber.optional(),
  guestSocket: socketPath("in the guest").optional(),
})
  .refine((body) => (body.hostPort === undefined) !== (body.hostSocket === undefined), {
    path: ["hostPort"],
    message: "give either `hostPort` or `hostSocket`",
  })
  .refine((body) => (body.guestPort === undefined) !== (body.guestSocket === undefined), {
    path: ["guestPort"],
    message: "give either `guestPort` or `guestSocket`",
  });
export type CreateForward = z.infer<typeof CreateForward>;

/** where a port of a VM is seen in a browser */
export const Preview = z.object({
  url: z.string().describe("for the holder of the token, or of the cookie it is exchanged for"),
  urlWithTicket: z.string().describe("opens it once, within a minute, and sets the cookie"),
});
export type Preview = z.infer<typeof Preview>;
