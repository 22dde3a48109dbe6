/**
 * Every bound that two peers must agree on, each with its reason. Bounds of one machine (cache sizes, queue lengths)
 * stand in the options of their module.
 */

/** One frame of any protocol. A request carries a whole conversation; nothing else comes near. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024

/** A capacity announcement. Gossip floods it to every hub, so it stays far below gossipsub's 1 MiB RPC bound. */
export const CAPACITY_BYTES_MAX = 8 * 1024

/** Models in one announcement: 32 of about 200 bytes fit CAPACITY_BYTES_MAX. */
export const CAPACITY_MODELS_MAX = 32

/** Vendors in one announcement, about 70 bytes each. */
export const CLOUDS_MAX = 32

/** Models in the catalogue of one vendor; the largest has about 500. */
export const CATALOGUE_MODELS_MAX = 2_000

/** Models in one page of a catalogue: about 200 bytes each. */
export const CATALOGUE_PAGE_MAX = 500

/** GPUs in one announcement. */
export const CAPACITY_GPUS_MAX = 16

/** An announcement is repeated this often even when nothing changed, with jitter. */
export const CAPACITY_BEAT_MS = 10_000

/** An announcement is valid this long: two lost beats do not remove a healthy host. */
export const CAPACITY_VALID_MS = 35_000

/** Clocks of honest peers may differ by this much. */
export const CLOCK_SKEW_MS_MAX = 60_000

/** A ticket must be used within this time after it was issued. */
export const TICKET_VALID_MS = 60_000

/** Longest time one job may run. */
export const JOB_MS_MAX = 30 * 60_000

/** Tokens one job may produce; larger requests are capped here. */
export const COMPLETION_TOKENS_MAX = 32_768

/** Messages in one conversation. */
export const MESSAGES_MAX = 2_048

/** Characters of all messages together; FRAME_BYTES_MAX holds them as UTF-8 in the worst case of 3 bytes each. */
export const PROMPT_CHARS_MAX = 1_000_000

/** Length of a model id. */
export const MODEL_ID_CHARS_MAX = 128

/** Stop strings: OpenAI allows 4. */
export const STOP_STRINGS_MAX = 4
export const STOP_CHARS_MAX = 256

/** A JSON schema of a response format, as text. */
export const SCHEMA_BYTES_MAX = 64 * 1024

/** Tools that a request may offer, as OpenAI allows, and calls in one message. */
export const TOOLS_MAX = 128
export const TOOL_CALLS_MAX = 128

/** Images in one request, and bytes of each: two of the largest still fit a frame. */
export const IMAGES_MAX = 32
export const IMAGE_BYTES_MAX = 1_500_000

/** What travels beside a request: wishes of 100 hosts' names and 8 models. */
export const JOB_OPTIONS_BYTES_MAX = 32 * 1024

/** The encoded request of a job: a frame less its ticket, which has about 1 KiB, and JOB_OPTIONS_BYTES_MAX. */
export const JOB_REQUEST_BYTES_MAX = FRAME_BYTES_MAX - 64 * 1024

/** Vectors of one answer: 2,048 texts at 4,096 dimensions. */
export const EMBEDDING_BYTES_MAX = 32 * 1024 * 1024

/** Vectors in one frame, or one vector where it is longer: below what waits in a channel unread for long. */
export const VECTORS_BYTES_TARGET = 64 * 1024

/** A slow source's tokens are collected at most this long before they are sent; the first goes out at once. */
export const CHUNK_WAIT_MS_MAX = 10

/** ... or until this much text has come together. Only a source of over 400 KB/s gets there; 1 KiB relayed half as much. */
export const CHUNK_BYTES_TARGET = 4_096

/** A signed progress note is sent every so many tokens ... */
export const PROGRESS_TOKENS = 64

/** ... or after this time, whichever comes first. */
export const PROGRESS_MS = 2_000
/** A source that is faster than a model gets no signature for each of its pieces. */
export const PROGRESS_MS_MIN = 200

/** A host that queues, loads or computes without a token says so this often. */
export const JOB_BEAT_MS = 1_000

/** A host from which nothing came for this long is silent: four missed beats. The next host then has 2 s until somebody who reads along has waited for 6 s. */
export const JOB_SILENCE_MS_MAX = 4_000

/** Peers probe each other this often on the control protocol; three misses end the connection. */
export const HEARTBEAT_MS = 10_000
export const HEARTBEAT_STRIKES = 3

/** A circuit through a hub lasts no longer: four of the longest jobs. Its ends open a new one before. */
export const CIRCUIT_MS_MAX = 7_200_000

/** Nor does it carry more, both directions together: hundreds of the largest jobs. */
export const CIRCUIT_BYTES_MAX = 1024 * 1024 * 1024

/** Entries in one log frame. An Ed25519 signature (26 us) then costs each entry next to nothing. */
export const LOG_FRAME_ENTRIES_MAX = 1_000

/** Bytes of all entries of one log frame; LevelDB merges a batch of this size into one write. */
export const LOG_FRAME_BYTES_MAX = 256 * 1024

/** Log frames on their way to one peer that it has not acknowledged. */
export const LOG_IN_FLIGHT_BYTES_MAX = 4 * 1024 * 1024

/** Bytes of one timed transfer to a hub: 2 MiB take 170 ms at 100 Mbit/s, long enough to be measured over a pinged 30 ms. */
export const SPEED_BYTES_MAX = 2 * 1024 * 1024

/** A signed order about a machine as a hub keeps it: 16 GPUs and 32 models with the longest names have about 18,000. */
export const CONTRIBUTOR_ORDER_BYTES_MAX = 24 * 1024

/** Machines of one account that a hub lists, and that it may have. */
export const REGISTRATIONS_LISTED_MAX = 64
