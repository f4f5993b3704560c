import { escapeMarkup, smallLineChart } from '#lab/line-chart.ts'
import type { Candidate, Tuning } from '#lab/tune.ts'
import { profileYaml } from '#lab/tune-space.ts'
import { fixed } from './figures.ts'
import { figure, page, pageTable, paragraph } from './page.ts'
import { metricWords, tuneFigures, verdictOf } from './tune-text.ts'

/** Candidates of the table. */
const mostRows = 20
/** Costs beyond these are drawn at them. */
const leastDrawn = 0.5
const mostDrawn = 2

/** The result of a search as one page that can be read without explanation. */
export function tunePage(tuning: Tuning, profileName: string): string {
  const { where, metric, runs, tuningSeeds, heldOutSeeds, changes, candidates, isSure, best, base, inert } = tuning
  return page('A profile for this traffic', [
    paragraph(
      `Searched for ${metric === 'goodput' ? 'more' : 'less'} ${metricWords[metric]} on ${where}: ${runs} runs of a simulated ` +
        `fleet in virtual time, seeds ${tuningSeeds.join(', ')} for the search and ${heldOutSeeds.join(', ')} for the judgement.`,
      'soft',
    ),
    `<div class="short">${paragraph(verdictOf(tuning))}</div>`,
    `<h2>${tuning.isSameRecording ? 'On the recording that the search saw' : 'On seeds that the search did not see'}</h2>`,
    pageTable([['', 'today', isSure ? 'tuned' : 'best found'], ...tuneFigures(tuning)]),
    ...(isSure
      ? ['<h2>The profile</h2>', yamlBlock(profileName, best)]
      : ['<h2>Today’s profile</h2>', yamlBlock(profileName, base)]),
    ...(changes.length === 0
      ? []
      : [
          '<h2>What is other</h2>',
          pageTable([
            ['setting', 'today', 'found'],
            ...changes.map(({ label, from, to }) => [label, String(from), String(to)]),
          ]),
        ]),
    ...(inert.length === 0
      ? []
      : [paragraph(`Without effect on this workload, and left alone: ${inert.join(', ')}.`, 'soft')]),
    '<h2>What was tried</h2>',
    figure(
      smallLineChart({
        title: 'Candidates',
        x: { label: 'in the order they were drawn' },
        y: { label: `cost over that of today’s profile (${mostDrawn}: or more)`, min: leastDrawn, max: mostDrawn },
        series: [
          {
            name: 'today',
            color: '#6b7280',
            isFaint: true,
            points: [
              [1, 1],
              [Math.max(2, candidates.length), 1],
            ],
          },
          {
            name: 'candidate',
            marksOnly: true,
            points: candidates.map(
              ({ ratio }, i) => [i + 1, Math.max(leastDrawn, Math.min(mostDrawn, ratio))] as const,
            ),
          },
        ],
      }),
      'Below 1 is better than today on the seeds of the search. Those that looked bad on the first seed got no second one.',
    ),
    candidateTable(candidates),
  ])
}

function yamlBlock(name: string, profile: Tuning['best']): string {
  return `<pre>${escapeMarkup(profileYaml(name, profile).trimEnd())}</pre>`
}

function candidateTable(candidates: readonly Candidate[]): string {
  const best = candidates.toSorted((a, b) => b.seeds - a.seeds || a.ratio - b.ratio).slice(0, mostRows)
  return pageTable(
    [
      ['cost', 'seeds', 'other than today'],
      ...best.map(({ ratio, seeds, changes }) => [
        fixed(ratio, 3),
        String(seeds),
        changes.length === 0 ? 'nothing' : changes.map(({ label, to }) => `${label} ${to}`).join(', '),
      ]),
    ],
    { isProse: true },
  )
}
