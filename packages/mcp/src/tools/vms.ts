import { Name, NetworkPolicy, Reference, Vm, VmState } from "@workfort/contract";
import * as z from "zod";
import { changes, destroys, reads, tool } from "../tool.ts";

/** VMs as a whole: what an agent that manages others needs. */
const vm = Reference.describe('name or id of a VM, for example "dev"');

const Summary = z.object({
  name: z.string(),
  id: z.string(),
  state: VmState,
  stateReason: z.string().describe("why it is in this state"),
  agent: z.enum(["absent", "connecting", "ready", "unreachable"]).describe("`ready` when commands can be run in it"),
  vcpuCount: z.int(),
  memoryMiB: z.int(),
  imageName: z.string().nullable().describe("master image it was made from"),
});

function summaryOf(one: Vm): z.infer<typeof Summary> {
  const { name, id, state, stateReason, agent, vcpuCount, memoryMiB, imageName } = one;
  return { name, id, state, stateReason, agent, vcpuCount, memoryMiB, imageName };
}

function line({ name, state, stateReason, agent, vcpuCount, memoryMiB }: z.infer<typeof Summary>): string {
  const cpus = vcpuCount === 1 ? "1 vCPU" : `${vcpuCount} vCPUs`;
  return `${name}: ${state} (${stateReason}), agent ${agent}, ${cpus}, ${memoryMiB} MiB`;
}

export const vmList = tool({
  name: "vm_list",
  title: "List VMs",
  description: "Lists the virtual machines with their states. Commands can be run in those whose agent is `ready`.",
  input: z.object({ state: VmState.optional().describe("only VMs in this state") }),
  output: z.object({ vms: z.array(Summary) }),
  annotations: reads,
  async run({ state }, { daemon, signal }) {
    const vms = (await daemon.call("vm.list", { query: { state } }, { signal })).vms.map(summaryOf);
    return { data: { vms }, text: vms.length === 0 ? "there are none" : vms.map(line).join("\n") };
  },
});

export const vmInspect = tool({
  name: "vm_inspect",
  title: "Inspect a VM",
  description:
    'Shows everything that is known of one VM: state, drives, VMM, warnings, and in networkPolicy what it may reach, which only the owner changes. Example: {"vm": "dev"}.',
  input: z.object({ vm }),
  output: Vm.extend({ networkPolicy: NetworkPolicy.nullable().describe("null where it has no network interface") }),
  annotations: reads,
  async run({ vm: name }, { daemon, signal }) {
    const [one, { policy }] = await Promise.all([
      daemon.call("vm.get", { params: { vm: name } }, { signal }),
      daemon.call("vm.network.get", { params: { vm: name } }, { signal }),
    ]);
    const data = { ...one, networkPolicy: policy?.policy ?? null };
    return { data, text: JSON.stringify(data, null, 2) };
  },
});

export const vmCreate = tool({
  name: "vm_create",
  title: "Create a VM",
  description:
    'Creates a VM with a disk of its own from a master image (image_list shows them), and starts it unless start is false. Takes some seconds. Example: {"name": "build-1", "image": "base", "vcpuCount": 2, "memoryMiB": 2048}.',
  input: z.object({
    name: Name.describe("DNS label that no VM has yet"),
    image: Reference.describe("master image to make its disk from"),
    vcpuCount: z.int().min(1).max(32).optional().describe("virtual CPUs, 1 to 32; default 1"),
    memoryMiB: z.int().min(64).max(1_048_576).optional().describe("guest memory in MiB, at least 64; default 512"),
    start: z.boolean().default(true).describe("start it and wait until commands can be run"),
  }),
  output: Summary,
  annotations: changes,
  async run({ start, ...body }, { daemon, signal, tell }) {
    const made = await daemon.call("vm.create", { body }, { signal });
    if (!start) return { data: summaryOf(made), text: line(summaryOf(made)) };
    tell("made; starting");
    const data = summaryOf(await daemon.call("vm.start", { params: { vm: made.id }, body: {} }, { signal }));
    return { data, text: line(data) };
  },
});

export const vmStart = tool({
  name: "vm_start",
  title: "Start a VM",
  description: 'Starts a VM and waits until commands can be run in it. Example: {"vm": "dev"}.',
  input: z.object({
    vm,
    timeoutSeconds: z.int().min(1).max(600).default(120).describe("longest wait for it to be ready, in seconds"),
  }),
  output: Summary,
  annotations: { ...changes, idempotentHint: false },
  async run({ vm: name, timeoutSeconds }, { daemon, signal }) {
    const body = { timeoutMs: timeoutSeconds * 1000 };
    const data = summaryOf(await daemon.call("vm.start", { params: { vm: name }, body }, { signal }));
    return { data, text: line(data) };
  },
});

export const vmStop = tool({
  name: "vm_stop",
  title: "Stop a VM",
  description:
    'Shuts a VM down; what runs in it ends, its disk stays. A guest that has not shut down after graceSeconds is ended. Example: {"vm": "dev"}.',
  input: z.object({
    vm,
    graceSeconds: z
      .int()
      .min(0)
      .max(600)
      .default(10)
      .describe("what the guest gets to shut down by itself, in seconds"),
  }),
  output: Summary,
  annotations: destroys,
  async run({ vm: name, graceSeconds }, { daemon, signal }) {
    const body = { graceMs: graceSeconds * 1000 };
    const data = summaryOf(await daemon.call("vm.stop", { params: { vm: name }, body }, { signal }));
    return { data, text: line(data) };
  },
});

export const vmDelete = tool({
  name: "vm_delete",
  title: "Delete a VM",
  description:
    'Deletes a VM that does not run, with its disk: everything on it is gone for good. Stop it first. Example: {"vm": "build-1"}.',
  input: z.object({ vm, keepWorkspace: z.boolean().default(false).describe("leave its disk, as a workspace") }),
  output: z.object({ deleted: z.string() }),
  annotations: destroys,
  async run({ vm: name, keepWorkspace }, { daemon, signal }) {
    const query = { keepWorkspace: keepWorkspace ? "true" : "false" } as const;
    await daemon.call("vm.delete", { params: { vm: name }, query }, { signal });
    return { data: { deleted: name }, text: `${name} is deleted` };
  },
});

const maxLogBytes = 65_536;

export const vmLogs = tool({
  name: "vm_logs",
  title: "Read a VM's console",
  description:
    'Reads the end of a VM\'s serial console: the kernel\'s messages and the guest agent\'s, of the last run if it does not run. For why a VM does not start; output of commands is not there. Example: {"vm": "dev", "tailBytes": 8192}.',
  input: z.object({
    vm,
    tailBytes: z.int().min(1).max(maxLogBytes).default(16_384).describe(`newest bytes to return, 1 to ${maxLogBytes}`),
  }),
  output: z.object({ text: z.string() }),
  annotations: reads,
  async run({ vm: name, tailBytes }, { daemon, signal }) {
    const query = { tailBytes: String(tailBytes) };
    const { body } = await daemon.bytes("vm.console", { params: { vm: name }, query }, { signal });
    const text = Buffer.concat(await Array.fromAsync(body)).toString("utf8");
    return { data: { text }, text: text === "" ? "(nothing was written)" : text };
  },
});

export const imageList = tool({
  name: "image_list",
  title: "List master images",
  description: "Lists the master images that vm_create can make a VM from.",
  input: z.object({}),
  output: z.object({
    images: z.array(z.object({ name: z.string(), id: z.string(), sizeBytes: z.int(), source: z.string() })),
  }),
  annotations: reads,
  async run(_input, { daemon, signal }) {
    const { images } = await daemon.call("image.list", {}, { signal });
    const rows = images.map(({ name, id, sizeBytes, source }) => ({ name, id, sizeBytes, source }));
    const text = rows.map(
      ({ name, sizeBytes, source }) => `${name}: ${Math.ceil(sizeBytes / 1024 ** 2)} MiB, from ${source}`,
    );
    return { data: { images: rows }, text: rows.length === 0 ? "there are none" : text.join("\n") };
  },
});
