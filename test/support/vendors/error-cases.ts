/** What each vendor says when it does not answer, byte for byte in its own form, and what we make of it. */
import type { ErrorCode } from '../../../protocol/errors.ts'
import type { OpenAiVendorId } from './openai-vendor.ts'

export interface ErrorCase {
  readonly name: string
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
  readonly code: ErrorCode
  readonly retryAfterMs?: number
  /** Must stand in our message. */
  readonly says?: string
}

const openAiError = (message: string, type: string, code: string | null, param: string | null = null) => ({ error: { message, type, param, code } })

const openai: readonly ErrorCase[] = [
  { name: 'a wrong key', status: 401, code: 'VENDOR_REFUSED', body: openAiError('Incorrect API key provided: sk-proj-ab********************wxyz. You can find your API key at https://platform.openai.com/account/api-keys.', 'invalid_request_error', 'invalid_api_key') },
  { name: 'no balance', status: 429, code: 'VENDOR_REFUSED', body: openAiError('You exceeded your current quota, please check your plan and billing details.', 'insufficient_quota', 'insufficient_quota') },
  { name: 'a rate limit', status: 429, headers: { 'retry-after': '7' }, retryAfterMs: 7_000, code: 'VENDOR_BUSY', body: openAiError('Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 30000.', 'tokens', 'rate_limit_exceeded') },
  { name: 'overload', status: 503, code: 'VENDOR_BUSY', body: openAiError('The engine is currently overloaded, please try again later', 'server_error', 'server_is_overloaded') },
  { name: 'an unknown model', status: 404, code: 'MODEL_NOT_FOUND', body: openAiError('The model `gpt-9` does not exist or you do not have access to it.', 'invalid_request_error', 'model_not_found') },
  { name: 'a prompt that is too long', status: 400, code: 'CONTEXT_LENGTH_EXCEEDED', body: openAiError("This model's maximum context length is 128000 tokens. However, your messages resulted in 150000 tokens.", 'invalid_request_error', 'context_length_exceeded', 'messages') },
  { name: 'a wrong parameter', status: 400, code: 'BAD_REQUEST', says: "Unsupported value: 'temperature'", body: openAiError("Unsupported value: 'temperature' does not support 0.2 with this model.", 'invalid_request_error', 'unsupported_value', 'temperature') },
  { name: 'a fault of its own', status: 500, code: 'VENDOR_FAILED', body: openAiError('The server had an error while processing your request.', 'server_error', null) },
  { name: 'a region', status: 403, code: 'VENDOR_REFUSED', body: openAiError('Country, region, or territory not supported', 'request_forbidden', 'unsupported_country_region_territory') },
]

export const openAiErrorCases: Readonly<Record<Exclude<OpenAiVendorId, 'custom'>, readonly ErrorCase[]>> = {
  openai,
  gemini: [
    { name: 'a wrong key', status: 400, code: 'VENDOR_REFUSED', body: [{ error: { code: 400, message: 'API key not valid. Please pass a valid API key.', status: 'INVALID_ARGUMENT', details: [{ reason: 'API_KEY_INVALID' }] } }] },
    { name: 'a quota of the minute', status: 429, headers: { 'retry-after': '30' }, retryAfterMs: 30_000, code: 'VENDOR_BUSY', body: [{ error: { code: 429, message: 'Resource has been exhausted (e.g. check quota).', status: 'RESOURCE_EXHAUSTED' } }] },
    { name: 'overload', status: 503, code: 'VENDOR_BUSY', body: [{ error: { code: 503, message: 'The model is overloaded. Please try again later.', status: 'UNAVAILABLE' } }] },
    { name: 'an unknown model', status: 404, code: 'MODEL_NOT_FOUND', body: [{ error: { code: 404, message: 'models/gemini-9 is not found for API version v1main', status: 'NOT_FOUND' } }] },
    { name: 'a prompt that is too long', status: 400, code: 'CONTEXT_LENGTH_EXCEEDED', body: [{ error: { code: 400, message: 'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).', status: 'INVALID_ARGUMENT' } }] },
    { name: 'a wrong argument', status: 400, code: 'BAD_REQUEST', says: 'Invalid JSON payload', body: [{ error: { code: 400, message: 'Invalid JSON payload received. Unknown name "foo".', status: 'INVALID_ARGUMENT' } }] },
  ],
  groq: [
    { name: 'a wrong key', status: 401, code: 'VENDOR_REFUSED', body: { error: { message: 'Invalid API Key', type: 'invalid_request_error', code: 'invalid_api_key' } } },
    { name: 'a call that the model wrote badly', status: 400, code: 'VENDOR_FAILED', body: { error: { message: "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.", type: 'invalid_request_error', code: 'tool_use_failed', failed_generation: '<function=weather{...}' } } },
    { name: 'a rate limit', status: 429, headers: { 'retry-after': '2' }, retryAfterMs: 2_000, code: 'VENDOR_BUSY', body: { error: { message: 'Rate limit reached for model `llama-3.3-70b-versatile`. Please try again in 1.2s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing', type: 'tokens', code: 'rate_limit_exceeded' } } },
    { name: 'a body that is too large', status: 413, code: 'CONTEXT_LENGTH_EXCEEDED', body: { error: { message: 'Request too large for model', type: 'tokens', code: 'rate_limit_exceeded' } } },
  ],
  cerebras: [
    { name: 'a wrong key', status: 401, code: 'VENDOR_REFUSED', body: { message: 'Wrong API Key', type: 'invalid_request_error', param: 'api_key', code: 'wrong_api_key' } },
    { name: 'a parameter', status: 400, code: 'BAD_REQUEST', says: 'frequency_penalty', body: { message: 'body.frequency_penalty: property is unsupported', type: 'invalid_request_error', param: 'validation_error', code: 'wrong_api_format' } },
    { name: 'a rate limit', status: 429, code: 'VENDOR_BUSY', retryAfterMs: 5_000, body: { message: 'Requests per minute limit exceeded - too many requests sent.', type: 'too_many_requests_error', param: 'quota', code: 'request_quota_exceeded' } },
    { name: 'a prompt that is too long', status: 400, code: 'CONTEXT_LENGTH_EXCEEDED', body: { message: 'Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192', type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' } },
  ],
  mistral: [
    { name: 'a wrong key', status: 401, code: 'VENDOR_REFUSED', body: { message: 'Unauthorized', request_id: 'x' } },
    { name: 'an invalid model', status: 400, code: 'MODEL_NOT_FOUND', body: { object: 'error', message: 'Invalid model: mistral-nope', type: 'invalid_model', param: null, code: '1500' } },
    { name: 'a tool id', status: 400, code: 'BAD_REQUEST', says: 'Tool call id', body: { object: 'error', message: 'Tool call id was x but must be a-z, A-Z, 0-9, with a length of 9.', type: 'invalid_request_error', param: null, code: '3280' } },
    { name: 'a body that does not fit', status: 422, code: 'BAD_REQUEST', body: { object: 'error', message: { detail: [{ type: 'extra_forbidden', loc: ['body', 'foo'], msg: 'Extra inputs are not permitted' }] }, type: 'invalid_request_error', param: null, code: null }, says: 'Extra inputs' },
    { name: 'a rate limit', status: 429, code: 'VENDOR_BUSY', retryAfterMs: 5_000, body: { object: 'error', message: 'Requests rate limit exceeded', type: 'rate_limited', param: null, code: '1300' } },
    { name: 'a prompt that is too long', status: 400, code: 'CONTEXT_LENGTH_EXCEEDED', body: { object: 'error', message: 'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length', type: 'invalid_request_prompt', param: null, code: '3051' } },
  ],
  together: [
    { name: 'a wrong key', status: 401, code: 'VENDOR_REFUSED', body: { id: 'x', error: { message: 'Invalid API key provided. You can find your API key at https://api.together.ai/settings/api-keys.', type: 'invalid_request_error', param: null, code: 'invalid_api_key' } } },
    { name: 'a monthly limit', status: 402, code: 'VENDOR_REFUSED', body: { error: { message: 'You have reached your monthly spending limit.', type: 'credit_limit', param: null, code: null } } },
    { name: 'a prompt that is too long, said with 403', status: 403, code: 'CONTEXT_LENGTH_EXCEEDED', body: { error: { message: 'Input token count + max_tokens must be less than the context length of the model.', type: 'invalid_request_error', param: 'max_tokens', code: null } } },
    { name: 'overload', status: 503, code: 'VENDOR_BUSY', body: { error: { message: 'The engine is currently overloaded with high traffic.', type: 'service_unavailable', param: null, code: null } } },
  ],
  openrouter: [
    { name: 'a wrong key', status: 401, code: 'VENDOR_REFUSED', body: { error: { message: 'No auth credentials found', code: 401 } } },
    { name: 'no credits', status: 402, code: 'VENDOR_REFUSED', body: { error: { message: 'Insufficient credits. Add more using https://openrouter.ai/settings/credits', code: 402 } } },
    { name: 'credits that requests in flight hold', status: 402, headers: { 'retry-after': '3' }, retryAfterMs: 3_000, code: 'VENDOR_BUSY', body: { error: { message: 'Too many requests in flight for the balance', code: 402 } } },
    { name: 'a moderator', status: 403, code: 'BAD_REQUEST', body: { error: { code: 403, message: 'openai/gpt-4o requires moderation. Your input was flagged for "violence".', metadata: { reasons: ['violence'], flagged_input: '...', provider_name: 'OpenAI' } } } },
    { name: 'an unknown model', status: 400, code: 'MODEL_NOT_FOUND', body: { error: { message: 'nobody/nothing is not a valid model ID', code: 400, metadata: { error_type: 'model_not_found' } } } },
    { name: 'a provider below it', status: 502, code: 'VENDOR_FAILED', body: { error: { message: 'Provider returned error', code: 502, metadata: { provider_name: 'X', raw: '...' } } } },
    { name: 'a rate limit above it', status: 429, code: 'VENDOR_BUSY', retryAfterMs: 5_000, body: { error: { message: 'Rate limit exceeded: free-models-per-day.', code: 429, metadata: { headers: { 'X-RateLimit-Limit': '50' } } } } },
  ],
  deepseek: [
    { name: 'a wrong key', status: 401, code: 'VENDOR_REFUSED', body: openAiError('Authentication Fails, Your api key: ****abcd is invalid', 'authentication_error', 'invalid_request_error') },
    { name: 'no balance', status: 402, code: 'VENDOR_REFUSED', body: openAiError('Insufficient Balance', 'unknown_error', 'invalid_request_error') },
    { name: 'a parameter', status: 422, code: 'BAD_REQUEST', says: 'missing field', body: openAiError('Failed to deserialize the JSON body: missing field `messages`', 'invalid_request_error', 'invalid_request_error') },
    { name: 'overload', status: 503, code: 'VENDOR_BUSY', body: openAiError('Service is too busy.', 'service_unavailable_error', 'invalid_request_error') },
  ],
  xai: [
    { name: 'a wrong key', status: 400, code: 'VENDOR_REFUSED', body: { code: 'Client specified an invalid argument', error: 'Incorrect API key provided: xa***zz. You can obtain an API key from https://console.x.ai.' } },
    { name: 'no credits', status: 403, code: 'VENDOR_REFUSED', body: { code: 'The caller does not have permission to execute the specified operation', error: 'Your newly created team does not have any credits yet.' } },
    { name: 'a parameter', status: 400, code: 'BAD_REQUEST', says: 'presencePenalty', body: { code: 'Client specified an invalid argument', error: 'Argument not supported on this model: presencePenalty' } },
    { name: 'an unknown model', status: 404, code: 'MODEL_NOT_FOUND', body: { code: 'Some requested entity was not found', error: 'The model grok-9 does not exist or your team does not have access to it.' } },
  ],
}

const anthropicError = (type: string, message: string) => ({ type: 'error', error: { type, message }, request_id: 'req_01' })

export const anthropicErrorCases: readonly ErrorCase[] = [
  { name: 'a wrong key', status: 401, code: 'VENDOR_REFUSED', body: anthropicError('authentication_error', 'invalid x-api-key') },
  { name: 'no balance', status: 400, code: 'VENDOR_REFUSED', body: anthropicError('invalid_request_error', 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.') },
  { name: 'billing', status: 402, code: 'VENDOR_REFUSED', body: anthropicError('billing_error', 'There is an issue with your billing.') },
  { name: 'permission', status: 403, code: 'VENDOR_REFUSED', body: anthropicError('permission_error', 'Your API key does not have permission to use the specified resource.') },
  { name: 'an unknown model', status: 404, code: 'MODEL_NOT_FOUND', body: anthropicError('not_found_error', 'model: claude-9') },
  { name: 'a body that is too large', status: 413, code: 'CONTEXT_LENGTH_EXCEEDED', body: anthropicError('request_too_large', 'Request exceeds the maximum size') },
  { name: 'a prompt that is too long', status: 400, code: 'CONTEXT_LENGTH_EXCEEDED', body: anthropicError('invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum') },
  { name: 'a parameter', status: 400, code: 'BAD_REQUEST', says: 'budget_tokens', body: anthropicError('invalid_request_error', 'thinking.enabled.budget_tokens: Input should be greater than or equal to 1024') },
  { name: 'a rate limit', status: 429, headers: { 'retry-after': '12' }, retryAfterMs: 12_000, code: 'VENDOR_BUSY', body: anthropicError('rate_limit_error', 'This request would exceed your organization’s rate limit') },
  { name: 'overload', status: 529, code: 'VENDOR_BUSY', retryAfterMs: 5_000, body: anthropicError('overloaded_error', 'Overloaded') },
  { name: 'a fault of its own', status: 500, code: 'VENDOR_FAILED', body: anthropicError('api_error', 'Internal server error') },
]
