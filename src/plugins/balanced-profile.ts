/**
 * The profile of model servers that name none (a `ProfilePlan` of config/snapshot.ts).
 *
 * - least-request leads, because it is the only score without delay: every pick changes it before the next is made, so
 *   a burst spreads evenly. Everything else is as old as the last scrape or answer.
 * - kv-cache has half its weight: full KV memory is what makes engines queue and preempt, but the value is a scrape
 *   old and the same for all picks in between. At this weight an endpoint with 20 % less KV in use draws no more than
 *   a tenth more requests before least-request says otherwise.
 * - latency tells slow endpoints (another GPU, a noisy neighbour) from fast ones at equal counts. It depends on which
 *   prompts came and is partly load counted again, so it only tips the scales.
 * - has-adapter is 1.5 so that a holder keeps an adapter's requests until it has about 3 more than an idle endpoint with
 *   room for it, or 12 more than one that would have to drop another adapter; for base models it is silent.
 */
export const balancedProfile = {
  filters: [{ type: 'usable', parameters: {} }],
  scorers: [
    { type: 'least-request', weight: 2, parameters: {} },
    { type: 'kv-cache', weight: 1, parameters: {} },
    { type: 'latency', weight: 0.5, parameters: {} },
    { type: 'has-adapter', weight: 1.5, parameters: {} },
  ],
  picker: { type: 'max-score', parameters: {} },
} as const
