import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { labList, labRun } from '#apps/lab.ts'
import { labCommand } from '#cli/commands/lab.ts'
import { maskSource } from './mask-source.ts'

const source = new URL('../src/', import.meta.url)

/** Files of src/ that are loaded along with one, dynamic imports left out. */
function loadedWith(path: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(path)) return seen
  seen.add(path)
  const { code, strings } = maskSource(readFileSync(new URL(path, source), 'utf8'))
  for (const match of code.matchAll(
    /^(?:import|export)\b(?!\s+type\b)[^(\n]*?(?:\{[^}]*\})?[^\n]*?\bfrom\s*(?=['"])/gm,
  )) {
    const specifier = strings.get(match.index + match[0].length) ?? ''
    const isLocal = specifier.startsWith('./')
    if (!isLocal && !specifier.startsWith('#')) continue
    loadedWith(isLocal ? join(path, '..', specifier) : specifier.slice(1), seen)
  }
  return seen
}

describe('infer-gateway lab', () => {
  test('is not loaded by a gateway that serves', () => {
    for (const entry of ['cli/main.ts', 'apps/serve.ts', 'apps/data-thread.ts']) {
      const loaded = [...loadedWith(entry)]
      assert.ok(loaded.length >= 5, `${entry} loads ${loaded.length} files`)
      assert.deepEqual(
        loaded.filter((path) => path.startsWith('lab/') || path === 'apps/lab.ts'),
        [],
      )
    }
    assert.ok([...loadedWith('apps/lab.ts')].some((path) => path.startsWith('lab/')))
  })

  test('reports progress, a table, a JSON file and a page', async () => {
    const out = mkdtempSync(join(tmpdir(), 'lab-'))
    const printed: string[] = []
    const lines: string[] = []
    try {
      const options = {
        workloads: ['chat'],
        arms: ['gateway', 'random'],
        seeds: 1,
        rate: 2,
        warmUpS: 1,
        seconds: 4,
        out,
      }
      const output = {
        print: (text: string) => void printed.push(text),
        progress: (line: string) => void lines.push(line),
      }
      await labRun(options, output)
      assert.deepEqual(lines, ['1 of 2  chat: gateway, seed 1', '2 of 2  chat: random, seed 1', ''])
      assert.match(printed.join(''), /W4 chat \(2 conversations\/s, 8 x qwen3-32b-2xh100\)\narm +TTFT/)
      const report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as { columns: { cells: unknown[] }[] }
      assert.equal(report.columns[0]?.cells.length, 2)
      assert.ok(existsSync(join(out, 'report.html')))
    } finally {
      rmSync(out, { recursive: true })
    }
  })

  test('says what there is, and what a misspelt name may have meant', async () => {
    const list = labList()
    for (const name of ['mooncake', 'agents', 'gateway', 'llm-d']) assert.ok(list.includes(`  ${name} `), name)
    const options = {
      workloads: undefined,
      arms: ['gatway'],
      seeds: 1,
      rate: undefined,
      warmUpS: 1,
      seconds: 1,
      out: undefined,
    }
    const output = { print: () => assert.fail('nothing runs'), progress: () => assert.fail('nothing runs') }
    await assert.rejects(labRun(options, output), /no arm is named 'gatway': did you mean gateway\?/)
  })

  test('refuses values that make no sense with the flag', () => {
    for (const [flag, value] of [
      ['--seeds', '0'],
      ['--rate', '-1'],
      ['--seconds', 'long'],
    ] as const) {
      const command = labCommand().exitOverride()
      const run = command.commands.find((each) => each.name() === 'run')?.exitOverride()
      run?.configureOutput({ writeErr: () => undefined })
      assert.throws(() => run?.parse([flag, value], { from: 'user' }), new RegExp(flag))
    }
  })
})
