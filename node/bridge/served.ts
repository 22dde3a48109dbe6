/** How an answer came to be, as every dialect tells it beside its own fields. */
import { toHex } from '../../protocol/bytes.ts'
import type { Served } from '../gateway.ts'

export function servedBody(served: Served) {
  return {
    host: served.host,
    host_name: served.hostName,
    hub: served.hub,
    receipt: served.receiptId === undefined ? null : `rcpt_${toHex(served.receiptId)}`,
    durability: served.durability,
    // A string, since a double cannot hold every amount.
    cost_micro_credits: served.costMicroCredits.toString(),
    attempts: served.attempts,
    model: served.model,
    ...(served.stoppedBy === undefined ? {} : { stopped_by: served.stoppedBy }),
    // Hosts that broke off before: each has its own receipt.
    ...(served.parts === undefined ? {} : {
      continued_from: served.parts.map(({ host, hostName, receiptId, completionTokens }) => ({
        host, host_name: hostName, receipt: receiptId === undefined ? null : `rcpt_${toHex(receiptId)}`, completion_tokens: completionTokens,
      })),
    }),
  }
}
