import type { Agreement } from './agreement.ts'

export interface MeanAndTail {
  readonly meanMs: number
  readonly p99Ms: number
}

/** Under which conditions a run over HTTP took place. */
export interface HttpConditions {
  /** Programs that ran or waited for a processor in the minute before, on average. */
  readonly loadAverage: number
  /** Processors' worth of time that each part took on average. */
  readonly gatewayCores: number
  readonly enginesCores: number
  readonly clientsCores: number
  /** Real milliseconds by which requests were sent late, and for which the gateway had them before it sent them on. */
  readonly late: MeanAndTail
  readonly gateway: MeanAndTail
  /** Measured requests without a whole answer, by what happened. */
  readonly failures: Readonly<Record<string, number>>
}

/** One workload at one load. */
export interface AgreementPoint {
  readonly workload: string
  readonly load: number
  readonly unit: string
  readonly fleet: string
  /** How many times faster than the clock the fleet's time went. */
  readonly timeFactor: number
  /** Tokens in one event of a stream. */
  readonly streamInterval: number
  readonly agreement: Agreement
  /** One for each seed. */
  readonly conditions: readonly HttpConditions[]
}

/** What a comparison of HTTP and virtual time came to. */
export interface AgreementReport {
  readonly arm: string
  readonly seeds: readonly number[]
  readonly warmUpS: number
  readonly seconds: number
  /** Of the machine. */
  readonly processors: number
  readonly points: readonly AgreementPoint[]
}

/** Real milliseconds within which 99 of 100 requests are sent, and sent on, where nothing else keeps the processors. */
const calmMs = 10

/** Whether the machine was too busy for figures that mean something. */
export function isDisturbed({ conditions }: AgreementPoint): boolean {
  return conditions.some(({ late, gateway }) => late.p99Ms > calmMs || gateway.p99Ms > calmMs)
}
