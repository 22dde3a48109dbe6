/** Gossipsub as this network needs it: only hubs subscribe, everybody who lends publishes (docs/protocol.md#libp2p). */
import type { GossipsubOpts } from '@libp2p/gossipsub'
import { fastMessageId, messageId } from './gossip-id.ts'

export function gossipSettings({ hub, topic }: { readonly hub: boolean; readonly topic: string }): Partial<GossipsubOpts> {
  return {
    fallbackToFloodsub: false,
    // A message carries its own signature (docs/decisions/0017); libp2p's costs twice as much to check.
    globalSignaturePolicy: 'StrictNoSign',
    floodPublish: true,
    doPX: false,
    allowedTopics: [topic],
    allowPublishToZeroTopicPeers: hub,
    maxInboundDataLength: 1 << 20,
    maxOutboundBufferSize: 4 << 20,
    msgIdFn: messageId,
    fastMsgIdFn: fastMessageId,
    scoreParams: {
      // Many peers behind one address are normal: a household, a provider's NAT, a test on one machine.
      IPColocationFactorWeight: 0,
      topics: {
        [topic]: {
          topicWeight: 1,
          timeInMeshWeight: 0,
          timeInMeshQuantum: 1_000,
          timeInMeshCap: 1,
          firstMessageDeliveriesWeight: 0,
          firstMessageDeliveriesDecay: 0.5,
          firstMessageDeliveriesCap: 1,
          // A quiet topic is no fault.
          meshMessageDeliveriesWeight: 0,
          meshMessageDeliveriesDecay: 0.5,
          meshMessageDeliveriesCap: 1,
          meshMessageDeliveriesThreshold: 1,
          meshMessageDeliveriesWindow: 10,
          meshMessageDeliveriesActivation: 1_000,
          meshFailurePenaltyWeight: 0,
          meshFailurePenaltyDecay: 0.5,
          invalidMessageDeliveriesWeight: -20,
          invalidMessageDeliveriesDecay: 0.9,
        },
      },
    },
  }
}
