import { Refusal } from "./refusal.ts";

/** lines 5 to 23, one for each device; the last two devices are always its own, in this order */
const lines = 19;
const ownDevices = ["VMGenID", "VMClock"];

/** Throws in Firecracker's words where a VM with so many virtio devices has no line left for one of them. */
export function checkInterrupts(devices: number): void {
  const none = "The requested resource is not available.";
  const failed = "Start microvm error: Could not attach device:";
  if (devices > lines)
    throw new Refusal(`${failed} MMIO transport error: Failed to allocate requested resource: ${none}`);
  const without = ownDevices[lines - devices];
  if (without !== undefined)
    throw new Refusal(`${failed} Error while registering ACPI with KVM: ${without}: Could not allocate GSI: ${none}`);
}
