import type { Codec } from './codec.ts'
import { chunkedCodec } from './codec-chunked.ts'
import { proxyCodec } from './codec-proxy.ts'
import { requestCodec } from './codec-request.ts'
import { responseCodec } from './codec-response.ts'

/** Every codec that is fuzzed. */
export const codecs: readonly Codec[] = [
  requestCodec,
  responseCodec(false),
  responseCodec(true),
  chunkedCodec,
  proxyCodec,
]
