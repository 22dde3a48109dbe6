/**
 * The questions that README files and tests of the whole product ask the demo model.
 *
 * Gives: question, language and the intent whose answer must come back, exactly.
 */
import type { Language } from './corpus.ts'

export interface ReadmeQuestion { readonly question: string, readonly language: Language, readonly intent: string }

export const readmeQuestions: readonly ReadmeQuestion[] = [
  { question: 'What is TriForce?', language: 'en', intent: 'what-is-triforce' },
  { question: 'How do I earn credits?', language: 'en', intent: 'earn-credits' },
  { question: 'How do I lend my GPU?', language: 'en', intent: 'lend-gpu' },
  { question: 'What does it cost?', language: 'en', intent: 'cost' },
  { question: 'What is a hub?', language: 'en', intent: 'hub' },
  { question: 'How are receipts checked?', language: 'en', intent: 'receipt-check' },
  { question: 'Explain TriForce in detail.', language: 'en', intent: 'explain-in-detail' },
  { question: 'Tell me everything about TriForce.', language: 'en', intent: 'explain-in-detail' },
  { question: 'Was ist TriForce?', language: 'de', intent: 'what-is-triforce' },
  { question: 'Wie verdiene ich Credits?', language: 'de', intent: 'earn-credits' },
  { question: 'Wie teile ich meine GPU?', language: 'de', intent: 'lend-gpu' },
  { question: 'Was kostet es?', language: 'de', intent: 'cost' },
  { question: 'Erkläre TriForce ausführlich.', language: 'de', intent: 'explain-in-detail' },
]
