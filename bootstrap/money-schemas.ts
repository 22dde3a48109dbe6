/** The parts of a node's answers about money that commands read; `node/bridge/` writes them. */
import { z } from 'zod'

const microCreditsField = z.string().regex(/^-?\d{1,20}$/).transform((text) => BigInt(text))

export const creditsSchema = z.object({
  account: z.string(), name: z.string(), tier: z.string(),
  balance_micro_credits: microCreditsField, held_micro_credits: microCreditsField, on_its_way_micro_credits: microCreditsField,
  frozen_micro_credits: microCreditsField, held_back_micro_credits: microCreditsField, debt_micro_credits: microCreditsField,
  earned_today_micro_credits: microCreditsField, earned_unpaid_micro_credits: microCreditsField, earned_paid_micro_credits: microCreditsField,
  quota: z.object({ day: z.string(), tokens_per_day: z.number().nullable(), used_tokens: z.number(), left_tokens: z.number().nullable() }),
})
export type CreditsView = z.output<typeof creditsSchema>

export const statementListSchema = z.object({
  data: z.array(z.object({
    id: z.string(), kind: z.string(), at: z.number(), log: z.object({ hub: z.number(), epoch: z.number(), entry: z.number() }),
    amount_micro_credits: microCreditsField, held_micro_credits: microCreditsField, quota_tokens: z.number(), why: z.string(),
    hold: z.string().nullable(), receipt: z.string().nullable(),
  })),
  next_cursor: z.string().nullable(),
})
export type StatementLineView = z.output<typeof statementListSchema>['data'][number]

export const grantedSchema = z.object({ ok: z.literal(true), hub: z.string().optional(), durability: z.string().optional(), known: z.boolean() })

export const headsSchema = z.array(z.object({ hub: z.number(), epoch: z.number(), frames: z.number() }))
export type AuditHeads = z.output<typeof headsSchema>

export const auditSchema = z.object({
  hub: z.string(), root: z.string(), heads: z.array(z.object({ hub: z.number(), name: z.string(), epoch: z.number(), frames: z.number() })),
  accounts: z.number(), entries: z.number(), totals_micro_credits: z.record(z.string(), microCreditsField), problems: z.array(z.string()),
})
export type AuditView = z.output<typeof auditSchema>

export const sealedSchema = z.object({ ok: z.literal(true), hub: z.string() })

const changeBase = z.object({ id: z.string(), created_at: z.number(), signed_by: z.array(z.string()), holds: z.boolean() })
export const changeSchema = z.discriminatedUnion('type', [
  changeBase.extend({ type: z.literal('table'), table: z.string(), rev: z.number(), content: z.unknown() }),
  changeBase.extend({ type: z.literal('grant'), account: z.string(), amount_micro_credits: microCreditsField, source: z.string() }),
])
export type ChangeView = z.output<typeof changeSchema>
export const changeListSchema = z.object({ data: z.array(changeSchema) })

export const tableSchema = z.object({ table: z.string(), rev: z.number(), content: z.record(z.string(), z.unknown()) })
export type TableView = z.output<typeof tableSchema>
