import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { run } from './support/run.ts'
import { splitEvents } from './support/sse.ts'
import { waitFor } from './support/wait.ts'

const root = join(import.meta.dirname, '..', '..')
const ports = [8080, 9090, 8101, 8102, 8103]

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

async function busyPorts(): Promise<number[]> {
  const free = await Promise.all(ports.map(isFree))
  return ports.filter((_, i) => free[i] === false)
}

function isGroupAlive(pid: number): boolean {
  try {
    process.kill(-pid, 0)
    return true
  } catch {
    return false
  }
}

interface QuickStart {
  readonly child: ChildProcess
  readonly pid: number
  /** The line it tells people to try. */
  readonly line: string
  stderr(): string
}

/** Starts it as a terminal does: in a process group of its own. */
async function start(program: string, args: readonly string[]): Promise<QuickStart> {
  const child = spawn(program, args, { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stdout.resume()
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const line = await waitFor(
    'line to try',
    () => {
      assert.equal(child.exitCode, null, stderr)
      return /^ *(curl .*)$/m.exec(stderr)?.[1]
    },
    20_000,
  )
  return { child, pid: child.pid ?? 0, line, stderr: () => stderr }
}

/** Ctrl-C: the signal goes to every process of the group. */
async function interrupt({ child, pid }: QuickStart): Promise<number | null> {
  const closed = once(child, 'close')
  process.kill(-pid, 'SIGINT')
  const timer = setTimeout(() => process.kill(-pid, 'SIGKILL'), 10_000)
  const [code] = (await closed) as [number | null]
  clearTimeout(timer)
  return code
}

const commands = [
  { title: 'infer-gateway serve', program: join(root, 'bin', 'infer-gateway'), args: ['serve'] },
  { title: 'npm start', program: 'npm', args: ['start', '--silent'] },
]

for (const { title, program, args } of commands) {
  test(`${title} prints a curl line that answers, and ends cleanly on Ctrl-C`, async (t) => {
    const busy = await busyPorts()
    if (busy.length > 0) return t.skip(`another program uses port ${busy.join(', ')}`)
    const started = await start(program, args)
    t.after(() => {
      if (isGroupAlive(started.pid)) process.kill(-started.pid, 'SIGKILL')
    })
    const answer = await run('sh', ['-c', started.line])
    assert.equal(answer.code, 0, answer.err)
    const { choices, usage } = JSON.parse(answer.out) as {
      choices: { message: { content: string } }[]
      usage: { completion_tokens: number }
    }
    assert.ok((choices[0]?.message.content ?? '').length > 10)
    assert.ok(usage.completion_tokens > 0)

    const streamed = await run('sh', ['-c', started.line.replace('{"model"', '{"stream":true,"model"')])
    const { events, fragment } = splitEvents(streamed.out)
    assert.ok(events.length > 5)
    assert.deepEqual([events.at(-1)?.data, fragment], ['[DONE]', ''])

    const list = (await (await fetch('http://127.0.0.1:8080/v1/models')).json()) as { data: { id: string }[] }
    assert.equal(list.data.length, 3)
    const status = (await (await fetch('http://127.0.0.1:9090/status')).json()) as { endpoints: { engine: string }[] }
    assert.deepEqual(status.endpoints.map(({ engine }) => engine).toSorted(), ['sglang', 'vllm', 'vllm'])

    const code = await interrupt(started)
    if (program !== 'npm') assert.equal(code, 0, started.stderr())
    await waitFor('end of every process', () => !isGroupAlive(started.pid), 2000)
    assert.deepEqual(await busyPorts(), [])
  })
}
