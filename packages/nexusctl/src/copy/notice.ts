import type { archiveNoticeKey as ofContract } from "@workfort/contract";

/** what the guest could not pack (the contract's schemas take long to load) */
export const archiveNoticeKey: typeof ofContract = "WORKFORT.notice";
