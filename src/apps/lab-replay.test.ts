import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { LabUsageError } from './lab.ts'
import { type LabReplayOptions, labReplay } from './lab-replay.ts'

const folder = mkdtempSync(join(tmpdir(), 'infer-gateway-replay-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Hashes of a prompt of ten blocks, of which so many are those of all. */
function marks(common: number, own: number) {
  const hashes = Array.from({ length: 10 }, (_, i) => (i < common ? 1_000 + i : own * 100 + i))
  return { blockTokens: 64, blocks: 10, hashes }
}

function decision(i: number, others: object = {}) {
  const request = { promptBytes: 2_600, promptTokens: 650, hasAdapter: false, promptMarks: marks(8, i + 1) }
  const modelServer = 'prod/llama'
  const head = { requestId: `r${i}`, attempt: 1, atWallMs: 5_000 + 50 * i, profile: 'default', endpoints: 2 }
  return { ...head, model: 'llama', modelServer, request, ...others }
}

const decisions = Array.from({ length: 40 }, (_, i) => decision(i))
const random = { filters: [], scorers: [], picker: { type: 'random', parameters: {} } }

function fileOf(name: string, content: unknown): string {
  const file = join(folder, name)
  writeFileSync(file, JSON.stringify(content))
  return file
}

async function replay(files: readonly string[], others: Partial<LabReplayOptions> = {}): Promise<string> {
  let printed = ''
  await labReplay(
    {
      files,
      modelServer: undefined,
      whatIf: [],
      arms: [],
      engines: undefined,
      preset: 'llama-8b-h100',
      outputTokens: 20,
      speed: 1,
      warmUpPart: 0.25,
      seeds: 1,
      out: undefined,
      env: {},
      ...others,
    },
    { print: (text) => void (printed += text), progress: () => undefined, width: 140 },
  )
  return printed
}

describe('lab replay', () => {
  test('compares the profile in force with others and with arms, on as many engines as there were', async () => {
    const file = fileOf('answer.json', { decisions, profiles: { default: random } })
    const out = join(folder, 'out')
    const text = await replay([file], { whatIf: ['house', 'least-request'], arms: ['round-robin'], out })
    assert.match(text, /replay recorded \(1 times as fast, 2 x llama-8b-h100\)/)
    for (const arm of ['default', 'house', 'least-request', 'round-robin'])
      assert.match(text, new RegExp(`^${arm} `, 'm'))
    const report = JSON.parse(readFileSync(join(out, 'replay.json'), 'utf8')) as {
      readonly columns: readonly { readonly cells: readonly { readonly mean: { readonly requests: number } }[] }[]
    }
    assert.deepEqual(
      report.columns[0]?.cells.map(({ mean }) => mean.requests),
      [30, 30, 30, 30],
    )
  })

  test("takes today's default where the files do not say what was in force, and tells of prompts that are not known", async () => {
    const bare = decisions.map(({ request: { promptMarks: _, ...request }, ...head }) => ({ ...head, request }))
    const text = await replay([fileOf('list.json', bare)])
    assert.match(text, /^gateway /m)
    assert.match(text, /Of 40 of 40 prompts it is not known what they share/)
  })

  test('says in one line what is wrong', async () => {
    const good = fileOf('good.json', decisions)
    const two = fileOf('two.json', [...decisions, decision(99, { modelServer: 'prod/other' })])
    const cases: readonly (readonly [files: readonly string[], others: Partial<LabReplayOptions>, problem: RegExp])[] =
      [
        [[join(folder, 'none.json')], {}, /none.json does not exist$/],
        [[fileOf('few.json', decisions.slice(0, 3))], {}, /^3 recorded requests say nothing: 10 or more$/],
        [[two], {}, /^the decisions are of prod\/llama, prod\/other: choose one with --model-server$/],
        [[two], { modelServer: 'prod/third' }, /^no decision is of 'prod\/third'; there are prod\/llama, prod\/other$/],
        [[good], { whatIf: ['nonsense'] }, /^'nonsense' is no file, no profile/],
        [[good], { arms: ['least-reqest'] }, /did you mean least-request\?$/],
        [[good], { preset: 'abacus' }, /^no engine is named 'abacus'/],
        [[good], { warmUpPart: 1 }, /the recording is over before the warm-up is$/],
      ]
    for (const [files, others, problem] of cases) {
      await assert.rejects(
        replay(files, others),
        (error) => error instanceof LabUsageError && problem.test(error.message),
      )
    }
    assert.match(await replay([two], { modelServer: 'prod/llama' }), /40 requests|^gateway /m)
  })
})
