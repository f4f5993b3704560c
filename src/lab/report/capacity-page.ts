import type { Capacities, CapacityColumn, Probe } from '#lab/capacity.ts'
import { colorOf, escapeMarkup, smallLineChart } from '#lab/line-chart.ts'
import { rangeChart } from '#lab/range-chart.ts'
import { capacityRatio, loadText, rowLoad } from './capacity-text.ts'
import { titleOf } from './figures.ts'
import { anchorOf, colourKey, figure, kindKey, page, pageTable, paragraph } from './page.ts'

const mostLines = 6
/** Below it, per cent, it does not matter how bad a load is. */
const leastDrawn = 80

/** Capacities as one page that can be read without explanation. */
export function capacityPage(capacities: Capacities): string {
  const { share, tolerance, seeds, warmUpMs, measuredMs, columns } = capacities
  const kinds = new Set(columns.flatMap(({ rows }) => rows.map(({ kind }) => kind)))
  return page('How much load each way to place requests carries', [
    paragraph(
      `The greatest load at which ${share * 100} % of the requests are inside the objective (first token within 1 s plus twice ` +
        'a cold prefill, and at most 100 ms per token after it), found by bisection for each seed to within ' +
        `${((tolerance - 1) * 100).toFixed(1)} %. Seeds ${seeds.join(', ')}; ${measuredMs / 1e3} s of arrivals measured after ` +
        `${warmUpMs / 1e3} s of warm-up, on a simulated fleet in virtual time.`,
    ),
    kindKey(kinds),
    ...columns.flatMap((column) => section(column, share)),
    paragraph(
      '≥ stands where no greater load was tried. A search takes it that more load never helps. Near its bound that is not strictly so, and a seed may end a step off. ' +
        'Intervals are of the ratio to the arm that carries most, paired by seed.',
      'soft',
    ),
  ])
}

function section(column: CapacityColumn, share: number): readonly string[] {
  const { workload, summary, unit, fleet, rows } = column
  const drawn = rows.filter(({ probes }) => probes.length > 0).slice(0, mostLines)
  const bars = rangeChart({
    title: unit,
    rows: rows.map(({ arm, kind, load, seeds }) => ({
      name: arm,
      kind,
      low: Math.min(...seeds),
      middle: load,
      high: Math.max(...seeds),
      hint: `${loadText(load)} ${unit}`,
    })),
  })
  const line = smallLineChart({
    title: 'On the way to it',
    x: { label: unit },
    y: { label: `% of requests inside the objective (${leastDrawn}: or less)`, min: leastDrawn, max: 100 },
    series: [
      {
        name: 'wanted',
        color: '#6b7280',
        isFaint: true,
        points: ends(
          drawn.flatMap(({ probes }) => probes),
          share,
        ),
      },
      ...drawn.map(({ arm, probes }, i) => ({
        name: arm,
        color: colorOf({}, i),
        hasMarks: true,
        points: meanByLoad(probes),
      })),
    ],
  })
  return [
    `<h2 id="${anchorOf(workload)}">${escapeMarkup(titleOf(column))}</h2>`,
    paragraph(`${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}. ${fleet}.`, 'soft'),
    ...column.notes.map((note) => paragraph(note)),
    '<div class="charts">',
    figure(bars, 'Dot: geometric mean over the seeds; bar: from the least to the greatest seed.'),
    `<figure>${colourKey(drawn.map(({ arm }, i) => ({ name: arm, color: colorOf({}, i) })))}${line}<figcaption>Every load of the search, mean over the seeds.</figcaption></figure>`,
    '</div>',
    pageTable([
      ['arm', unit, 'of the best', 'by seed'],
      ...rows.map((row) => [row.arm, rowLoad(row), capacityRatio(row), row.seeds.map(loadText).join(', ')]),
    ]),
  ]
}

/** Seeds that were tried at the same load are one point. */
function meanByLoad(probes: readonly Probe[]): readonly (readonly [number, number])[] {
  const loads = [...new Set(probes.map(({ load }) => load))]
  return loads.map((at) => {
    const shares = probes.flatMap(({ load, goodShare }) => (load === at ? [goodShare] : []))
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
    return [at, Math.max(leastDrawn, mean * 100)]
  })
}

function ends(probes: readonly { readonly load: number }[], share: number): readonly (readonly [number, number])[] {
  const loads = probes.map(({ load }) => load)
  return [
    [Math.min(...loads), share * 100],
    [Math.max(...loads), share * 100],
  ]
}
