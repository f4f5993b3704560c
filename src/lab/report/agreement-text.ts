import type { Agreement, AgreementRow } from '#lab/agreement.ts'
import {
  type AgreementPoint,
  type AgreementReport,
  type HttpConditions,
  isDisturbed,
  type MeanAndTail,
} from '#lab/agreement-report.ts'
import { fixed, share } from './figures.ts'
import { textTable } from './text-table.ts'

/** A figure of a row, in the unit of its row; times in milliseconds below a second. */
export function agreementValue(value: number, { unit, figure }: AgreementRow): string {
  if (unit === 'part') return `${(value * 100).toFixed(1)} %`
  if (unit === 'ms') return value < 1_000 ? `${fixed(value, 1)} ms` : `${fixed(value / 1e3, 2)} s`
  return figure === 'max/mean' ? fixed(value, 2) : fixed(value, 0)
}

/** HTTP over virtual time. */
export function agreementRatio({ ratio }: AgreementRow): string {
  return fixed(ratio, 3)
}

/** What the same ratio is by chance. */
export function chanceText({ chance: [low, high] }: AgreementRow): string {
  return `${fixed(low, 3)} to ${fixed(high, 3)}`
}

/** How far both agree, in one line. */
export function agreementLine(agreement: Agreement): string {
  const { within, tailsWithin, hitDistance, moved, sameEndpoint, sameEndpointAgain } = agreement
  const percent = (part: number): string => `${(part * 100).toFixed(1)} %`
  return (
    `agree within ${percent(within)} (means, medians and output), ${percent(tailsWithin)} (90th and 99th percentiles); ` +
    `hit ratio ${(hitDistance * 100).toFixed(1)} points apart; ${percent(moved)} of the requests more or less per endpoint, ` +
    `${share(sameEndpoint)} at the same one (by chance ${share(sameEndpointAgain)})`
  )
}

/** For what all points were measured. */
export function agreementHead(report: Omit<AgreementReport, 'points'>): string {
  const { arm, seeds, warmUpS, seconds, processors } = report
  return `Arm ${arm}, seeds ${seeds.join(' ')}, ${warmUpS} s of warm-up and ${seconds} s measured, on ${processors} processors`
}

/** How fast the fleet's time went. */
function paceText({ timeFactor, streamInterval }: AgreementPoint): string {
  const pace =
    timeFactor === 1
      ? 'in real time'
      : `time factor ${timeFactor}: the gateway's own time, and that between two metrics pages, count ${timeFactor} times`
  return `${pace}; ${streamInterval} tokens an event`
}

/** Under which conditions a point was measured, a line each: the worst of the seeds. */
export function conditionsText(point: AgreementPoint): string {
  const { conditions } = point
  const worst = (of: (each: HttpConditions) => number): number => Math.max(...conditions.map(of))
  const cores = (of: (each: HttpConditions) => number): string => fixed(worst(of), 2)
  const times = (of: (each: HttpConditions) => MeanAndTail): string =>
    `${fixed(
      worst((each) => of(each).meanMs),
      2,
    )} ms (p99 ${fixed(
      worst((each) => of(each).p99Ms),
      1,
    )})`
  const failures = conditions.flatMap((each) => Object.entries(each.failures))
  return [
    paceText(point),
    `processors: gateway ${cores((each) => each.gatewayCores)}, engines ${cores((each) => each.enginesCores)}, ` +
      `clients ${cores((each) => each.clientsCores)} (load average before ${cores((each) => each.loadAverage)}); requests sent ${times(({ late }) => late)} late, ` +
      `at the gateway for ${times(({ gateway }) => gateway)}`,
    ...(isDisturbed(point)
      ? ['This machine was busy: requests were held up here, so the figures say little. Run it again.']
      : []),
    ...(failures.length === 0 ? [] : [`failed: ${failures.map(([what, count]) => `${count} ${what}`).join(', ')}`]),
  ].join('\n')
}

/** One point for a terminal. */
export function agreementPointText(point: AgreementPoint): string {
  const { workload, load, unit, fleet, agreement } = point
  const { rows } = agreement
  const table = textTable([
    { head: '', cells: rows.map(({ figure }) => figure) },
    { head: 'HTTP', cells: rows.map((row) => agreementValue(row.http, row)) },
    { head: 'virtual', cells: rows.map((row) => agreementValue(row.virtual, row)) },
    { head: 'ratio', cells: rows.map(agreementRatio) },
    { head: 'by chance', cells: rows.map(chanceText) },
    { head: 'as placed', cells: rows.map(({ asPlaced }) => fixed(asPlaced, 3)) },
  ])
  const title = `${workload}, ${load} ${unit} (${fleet})`
  return `${title}\n${table}\n${agreementLine(agreement)}\n${conditionsText(point)}\n`
}
