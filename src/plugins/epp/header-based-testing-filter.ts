import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { KnownEndpoint } from '#contracts/schedule.ts'
import { headerOf } from '#core/header-list.ts'
import { keepCandidates } from './keep-candidates.ts'

const header = 'test-epp-endpoint-selection'

function isNamed({ host, port }: KnownEndpoint, names: readonly string[]): boolean {
  const bracketed = host.includes(':') ? `[${host}]` : host
  return names.some((name) => name === host || name === bracketed || name === `${bracketed}:${port}`)
}

/** For conformance tests: keeps the endpoints that the request names, none when it names none. */
export const headerBasedTestingFilter = definePlugin({
  point: 'filter',
  type: 'header-based-testing-filter',
  origin: 'epp',
  stability: 'stable',
  summary: `For conformance tests: keeps the endpoints that the header \`${header}\` names (\`IP\` or \`IP:port\`, separated by commas).`,
  reads: [],
  parameters: z.strictObject({}),
  create: (_parameters, { endpointOf }) => ({
    filter({ headers }, candidates) {
      const names = (headerOf(headers, header) ?? '').split(',').map((name) => name.trim())
      keepCandidates(candidates, (slot) => {
        const endpoint = endpointOf(slot)
        return endpoint !== undefined && isNamed(endpoint, names)
      })
    },
  }),
})
