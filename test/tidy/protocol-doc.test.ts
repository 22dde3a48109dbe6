import { expect } from 'chai'
import { completionRequestSchema } from '../../protocol/completion.ts'
import { protocolIds } from '../../protocol/ids.ts'
import { capacitySchema, gpuSchema, modelCapabilitySchema, offeredModelSchema } from '../../protocol/messages/capacity.ts'
import {
  availabilitySchema, checkStateSchema, claimedGpuSchema, contributorOrderSchema, contributorTells, hardwareClaimSchema, lendingConsentSchema, passedByReasonSchema,
  passedBySchema, registrationSchema, shortfallSchema, speedTellSchema,
} from '../../protocol/messages/contributor.ts'
import { accountActions, controlAskSchema, controlTellSchema, receiptSummarySchema } from '../../protocol/messages/control.ts'
import { accountRequestSchema, jobAskSchema, jobTellSchema, progressNoteSchema } from '../../protocol/messages/job.ts'
import { ledgerMessageSchema } from '../../protocol/messages/ledger.ts'
import { headSchema, logIdSchema } from '../../protocol/messages/ledger-fields.ts'
import { hubAnswerSchema, hubRequestSchema } from '../../protocol/messages/ledger-rights.ts'
import { observationSchema, receiptHalfSchema } from '../../protocol/messages/receipt.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'
import { signatureDomains, signedSchema } from '../../protocol/signed.ts'
import { textOf } from '../support/source-files.ts'

/** Everything that stands between backticks or in a block of code. */
const code = [...textOf('docs/protocol.md').matchAll(/```[\s\S]*?```|`[^`]+`/g)].map(([text]) => text).join('\n')
const words = new Set(code.match(/[A-Za-z0-9-]+/g))

const objects = {
  completionRequest: completionRequestSchema, capacity: capacitySchema, gpu: gpuSchema, offeredModel: offeredModelSchema, receiptSummary: receiptSummarySchema,
  accountRequest: accountRequestSchema, progressNote: progressNoteSchema, head: headSchema, logId: logIdSchema, observation: observationSchema, receiptHalf: receiptHalfSchema,
  ticket: ticketSchema, signed: signedSchema, hubAnswer: hubAnswerSchema, registration: registrationSchema, hardware: hardwareClaimSchema, claimedGpu: claimedGpuSchema,
  availability: availabilitySchema, consent: lendingConsentSchema, check: checkStateSchema, shortfall: shortfallSchema, passedBy: passedBySchema, speed: speedTellSchema,
}

describe('docs/protocol.md', () => {
  it('names every message and every field', () => {
    const missing: string[] = []
    for (const [name, schema] of Object.entries(objects)) for (const field of Object.keys(schema.shape)) if (!words.has(field)) missing.push(`${name}.${field}`)
    for (const union of [controlAskSchema, controlTellSchema, jobAskSchema, jobTellSchema, ledgerMessageSchema]) {
      for (const { shape } of union.options) for (const field of [shape.t.value, ...Object.keys(shape)]) if (!words.has(field)) missing.push(`${shape.t.value}.${field}`)
    }
    for (const { shape } of hubRequestSchema.options) {
      for (const field of [shape.do.value, ...Object.keys(shape)]) if (!words.has(field)) missing.push(`${shape.do.value}.${field}`)
    }
    for (const { shape } of contributorOrderSchema.options) {
      for (const field of [shape.do.value, ...Object.keys(shape), ...Object.keys(contributorTells[shape.do.value].shape)]) if (!words.has(field)) missing.push(`${shape.do.value}.${field}`)
    }
    for (const word of [...passedByReasonSchema.options, ...checkStateSchema.shape.state.options, ...shortfallSchema.shape.what.options]) if (!code.includes(`\`${word}\``)) missing.push(word)
    for (const [action, { ask, tell }] of Object.entries(accountActions)) {
      for (const field of [action, ...Object.keys(ask.shape), ...Object.keys(tell.shape)]) if (!words.has(field)) missing.push(`${action}.${field}`)
    }
    expect(missing).to.deep.equal([])
  })

  it('names every protocol, every signature domain and every capability', () => {
    for (const id of Object.values(protocolIds('<network>'))) expect(code).to.include(id)
    for (const domain of Object.values(signatureDomains)) expect(code).to.include(domain)
    for (const capability of modelCapabilitySchema.options) expect(words).to.include(capability)
  })

  it('has the section that the source points to', () => {
    expect(textOf('docs/protocol.md')).to.match(/^## libp2p$/m)
  })
})
