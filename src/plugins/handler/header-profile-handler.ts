import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { profileResult, type ScheduleRequest } from '#contracts/schedule.ts'
import { headerOf } from '#core/header-list.ts'

const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/

/**
 * Places a request with the profile that a header names, exactly as it is written; without the header, or with an empty one,
 * with `defaultProfile`. A header that names something else refuses the request (400 `unknown-profile`; the Endpoint Picker says
 * 429, as if there were no room). A single profile is used whatever the header says.
 */
export const headerProfileHandler = definePlugin({
  point: 'profile-handler',
  type: 'header-profile-handler',
  origin: 'epp',
  stability: 'alpha',
  summary: 'Places a request with the profile that a header of the request names.',
  reads: [],
  parameters: z.strictObject({
    headerName: z.string().regex(headerName).default('EPP-Profile').describe('Name of the header, in any case.'),
    defaultProfile: z
      .string()
      .max(253)
      .default('decode')
      .describe('Profile of requests without the header. When there is none of that name, those are refused.'),
  }),
  caution({ headerName: name, defaultProfile }, profiles = []) {
    if (profiles.length < 2 || profiles.includes(defaultProfile)) return undefined
    return `requests without the header '${name}' are refused: there is no profile '${defaultProfile}' (defaultProfile) here`
  },
  create: ({ headerName: name, defaultProfile }, { profiles = [] }) => {
    const header = name.toLowerCase()
    const indexByName = new Map(profiles.map((profile, index) => [profile, index]))
    const chosen = ({ headers }: ScheduleRequest): number => {
      if (profiles.length === 1) return 0
      return indexByName.get(headerOf(headers, header)?.trim() || defaultProfile) ?? -1
    }
    return {
      next: (request, { runs }) => (runs === 0 ? chosen(request) : -1),
      primary(request, { slots }) {
        const index = chosen(request)
        return index >= 0 && slots[index]! > profileResult.none ? index : -1
      },
    }
  },
})
