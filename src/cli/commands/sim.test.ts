import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startSimulators } from '#apps/simulators.ts'
import { describeSim, simCommand } from './sim.ts'

test('the help names every flag and shows examples', () => {
  const help = simCommand().helpInformation()
  for (const flag of [
    '--engine',
    '--model',
    '--lora',
    '--ttft',
    '--tpot',
    '--max-num-seqs',
    '--kv-blocks',
    '--preset',
    '--time-factor',
    '--data-parallel-size',
    '--count',
    '--kv-events-port',
  ]) {
    assert.ok(help.includes(flag), flag)
  }
})

test('values that make no sense are refused with the flag', () => {
  const cases = [
    ['--port', 'eighty'],
    ['--port', '65536'],
    ['--kv-events-port', '-1'],
    ['--ttft', '-1'],
    ['--max-num-seqs', '0'],
    ['--engine', 'other'],
    ['--preset', 'abacus'],
    ['--time-factor', '0'],
  ]
  for (const args of cases) {
    const command = simCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
    assert.throws(() => command.parse(args, { from: 'user' }), new RegExp(`option '${args[0]} `))
  }
})

test('a preset does not go with times of its own', () => {
  const command = simCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
  const args = ['--preset', 'llama-8b-h100', '--ttft', '5']
  assert.throws(
    () => command.parse(args, { from: 'user' }),
    /'--preset <name>' cannot be used with option '--ttft <ms>'/,
  )
})

test('names come repeated or separated by commas', () => {
  const command = simCommand().action(() => {})
  command.parse(['--model', 'a', '--model', 'b', '--lora', 'x, y', '--lora', 'z'], { from: 'user' })
  assert.deepEqual(
    [command.opts()['model'], command.opts()['lora']],
    [
      ['a', 'b'],
      ['x', 'y', 'z'],
    ],
  )
})

test('one line says where a server is and what it serves', async () => {
  const { sims, close } = await startSimulators([
    { engine: 'sglang', models: ['m'], adapters: ['a', 'b'] },
    { ranks: 2, kvEvents: { port: 0 } },
  ])
  assert.deepEqual(
    sims.map(describeSim),
    sims.map(({ port, kvEventSources }, i) => {
      const [first, second] = kvEventSources().map(({ endpoint }) => endpoint)
      const rest = i === 0 ? 'sglang  model m  adapters a, b' : `vllm  model sim-model  KV events ${first}, ${second}`
      return `http://127.0.0.1:${port}  ${rest}`
    }),
  )
  await close()
})
