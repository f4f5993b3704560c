import type { SimCore } from '#sim/api/exchange.ts'
import type { EngineName } from '#sim/options.ts'
import { llamacppPersonality } from './llamacpp.ts'
import type { Personality } from './personality.ts'
import { sglangPersonality } from './sglang.ts'
import { tgiPersonality } from './tgi.ts'
import { tritonPersonality } from './triton.ts'
import { trtllmPersonality } from './trtllm.ts'
import { vllmPersonality } from './vllm.ts'

/** How each engine is made to look like itself. */
export const personalities: Readonly<Record<EngineName, (core: SimCore) => Personality>> = {
  vllm: vllmPersonality,
  sglang: sglangPersonality,
  tgi: tgiPersonality,
  triton: tritonPersonality,
  trtllm: trtllmPersonality,
  llamacpp: llamacppPersonality,
}
