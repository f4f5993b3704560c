import { z } from 'zod'

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** Milliseconds of a duration as Go writes it (`200ms`, `1m30s`, `0`); undefined when it is none. */
export function parseGoDuration(text: string): number | undefined {
  if (text === '0') return 0
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return undefined
  return parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (unitMs[unit] ?? Number.NaN), 0)
}

/** A duration of a plug-in's parameters, as text. */
export const goDuration = z
  .string()
  .max(64)
  .refine((text) => parseGoDuration(text) !== undefined, { message: "must be a duration such as '200ms' or '1m30s'" })
