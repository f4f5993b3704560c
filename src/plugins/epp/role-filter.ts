import { z } from 'zod'
import { definePlugin, type PluginDefinition } from '#contracts/plugin.ts'
import type { KnownEndpoint } from '#contracts/schedule.ts'
import { keepCandidates } from './keep-candidates.ts'

const roleLabel = 'llm-d.ai/role'

/** The role of an endpoint: by its label, else by the configuration; undefined when nobody gave it one. */
function roleOf(endpoint: KnownEndpoint | undefined): string | undefined {
  const label = endpoint?.labels[roleLabel]
  if (label !== undefined || endpoint === undefined) return label
  return endpoint.role === 'both' ? undefined : endpoint.role
}

interface Roles {
  readonly type: string
  readonly stage: string
  readonly roles: readonly string[]
  readonly keepsUnlabelled: boolean
}

/** A filter by role. */
export function roleFilter({ type, stage, roles, keepsUnlabelled }: Roles): PluginDefinition {
  return definePlugin({
    point: 'filter',
    type,
    origin: 'epp',
    stability: 'stable',
    summary: `Keeps endpoints that ${stage}${keepsUnlabelled ? ', and those that say no role' : ''}: by the label \`${roleLabel}\`.`,
    reads: [],
    parameters: z.strictObject({}),
    create: (_parameters, { endpointOf }) => ({
      filter(_request, candidates) {
        keepCandidates(candidates, (slot) => {
          const role = roleOf(endpointOf(slot))
          return role === undefined ? keepsUnlabelled : roles.includes(role)
        })
      },
    }),
  })
}
