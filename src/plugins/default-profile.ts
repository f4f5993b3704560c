/**
 * The profile of model servers that name none (a `ProfilePlan` of config/snapshot.ts): the house profile. It sends a request
 * where it costs the least time, its own and that of the others there (scorer/cost.ts), by what this gateway knows without
 * delay: what it has sent where. It needs no tuning for any kind of traffic.
 */
export const defaultProfile = {
  filters: [{ type: 'usable', parameters: {} }],
  scorers: [{ type: 'cost', weight: 1, parameters: {} }],
  picker: { type: 'near-best', parameters: {} },
} as const
