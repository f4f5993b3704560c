import { health } from '#core/endpoint.ts'
import type { GetAnswer } from './get-port.ts'
import type { Health } from './load-writer.ts'

/** Probes in a row without an answer, after which an engine that still accepts connections counts as unready. */
const silentProbes = 3

/** What a probe of the health path says; an undefined value leaves things as they are. */
export interface HealthVerdict {
  readonly value: Health | undefined
  readonly reason: string
}

/** Judges an engine by the answers of its health path. */
export class HealthJudge {
  #silent = 0

  judge(answer: GetAnswer): HealthVerdict {
    if (answer.kind === 'failure') {
      const { reason, message } = answer
      const isDown = reason === 'refused' || reason === 'unreachable' || reason === 'tls'
      return { value: isDown || ++this.#silent >= silentProbes ? health.unready : undefined, reason: message }
    }
    this.#silent = 0
    return { value: healthOfStatus(answer.status), reason: `the health path answered ${answer.status}` }
  }
}

/** Other answers (404, 401) come from a server that is there but has no such path: nothing is known. */
function healthOfStatus(status: number): Health {
  if (status >= 200 && status < 300) return health.ready
  return status >= 500 ? health.unready : health.unknown
}
