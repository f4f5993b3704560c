import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listenerPlan } from '#datastore/snapshot-case.ts'
import { dealSockets, type GivenSocket, handoverText, handoverVariable, readInheritance } from './inherited-sockets.ts'
import type { SocketAddress } from './listening-sockets.ts'

const nowhere = (): undefined => undefined
const admin = { address: '127.0.0.1', port: 9090 }

function given(fd: number, kind: GivenSocket['kind'], name: string, at?: SocketAddress): GivenSocket {
  return { fd, kind, name, at }
}

test('a process that was given nothing has inherited nothing', () => {
  for (const env of [
    {},
    { LISTEN_FDS: '2' },
    { LISTEN_FDS: '2', LISTEN_PID: '41' },
    { LISTEN_FDS: '0', LISTEN_PID: '42' },
    { LISTEN_FDS: 'x', LISTEN_PID: '42' },
    { LISTEN_FDS: '-1', LISTEN_PID: '42' },
    { LISTEN_FDS: '99999999', LISTEN_PID: '42' },
    { [handoverVariable]: '' },
    { [handoverVariable]: 'no JSON' },
  ]) {
    assert.equal(readInheritance(env, 42, nowhere).from, 'nobody', JSON.stringify(env))
  }
})

test('the sockets of a service manager are the descriptors from 3 on, with their names and addresses', () => {
  const env = { LISTEN_FDS: '2', LISTEN_PID: '42', LISTEN_FDNAMES: 'web' }
  const at = { address: '127.0.0.1', port: 80 }
  const inheritance = readInheritance(env, 42, (fd) => (fd === 4 ? at : undefined))
  assert.equal(inheritance.from, 'service manager')
  assert.deepEqual(inheritance.sockets, [given(3, 'unknown', 'web'), given(4, 'unknown', '', at)])
  assert.equal(inheritance.readyFd, undefined)
})

test('what a gateway hands over, its successor reads', () => {
  const sockets = [
    given(4, 'listener', 'a "b"', { address: '::', port: 8080 }),
    given(5, 'admin', '', { address: '127.0.0.1', port: 9090 }),
  ]
  const env = { [handoverVariable]: handoverText(7, 3, sockets) }
  const expected = { from: 'predecessor', sockets, readyFd: 3, predecessorPid: 7 }
  assert.deepEqual(readInheritance(env, 42, nowhere), expected)
})

test('a hand-over that is not as it should be gives what can be used of it', () => {
  for (const text of ['null', '[]', '{}', '{"sockets":{}}', '{"sockets":[1,[null],[4,"other","",""]]}']) {
    const inheritance = readInheritance({ [handoverVariable]: text }, 42, nowhere)
    assert.deepEqual([inheritance.from, inheritance.sockets], ['predecessor', []], text)
  }
})

const web = listenerPlan({ name: 'web', address: '0.0.0.0', port: 8080 })
const local = listenerPlan({ name: 'local', address: '127.0.0.1', port: 8080 })
const six = listenerPlan({ name: 'six', address: '0:0:0::1', port: 8443 })
const any = listenerPlan({ name: 'any', address: '127.0.0.1', port: 0 })

const cases: readonly {
  readonly what: string
  readonly socket: GivenSocket
  readonly goesTo: string
}[] = [
  {
    what: 'the listener at its address',
    socket: given(9, 'listener', 'x', { address: '0.0.0.0', port: 8080 }),
    goesTo: 'web',
  },
  {
    what: 'the other one at its port',
    socket: given(9, 'listener', 'web', { address: '127.0.0.1', port: 8080 }),
    goesTo: 'local',
  },
  { what: 'IPv6 in another spelling', socket: given(9, 'unknown', '', { address: '::1', port: 8443 }), goesTo: 'six' },
  {
    what: 'the wildcard of IPv6 for that of IPv4',
    socket: given(9, 'unknown', '', { address: '::', port: 8080 }),
    goesTo: 'web',
  },
  {
    what: 'a port of the system by its name',
    socket: given(9, 'listener', 'any', { address: '127.0.0.1', port: 40_000 }),
    goesTo: 'any',
  },
  {
    what: 'a name that decides alone',
    socket: given(9, 'unknown', 'local', { address: '::', port: 1 }),
    goesTo: 'local',
  },
  {
    what: 'a name whose listener has moved',
    socket: given(9, 'listener', 'web', { address: '0.0.0.0', port: 8081 }),
    goesTo: 'nobody',
  },
  { what: 'the admin server by name', socket: given(9, 'unknown', 'admin'), goesTo: 'admin' },
  { what: 'the admin server by address', socket: given(9, 'unknown', '', admin), goesTo: 'admin' },
  { what: 'the admin server before', socket: given(9, 'admin', '', admin), goesTo: 'admin' },
  { what: 'an admin server that has moved', socket: given(9, 'admin', '', { ...admin, port: 9091 }), goesTo: 'nobody' },
  { what: 'a socket of which nothing is known', socket: given(9, 'unknown', 'x'), goesTo: 'nobody' },
]

for (const { what, socket, goesTo } of cases) {
  test(`an inherited socket finds its place: ${what}`, () => {
    const dealt = dealSockets([socket], [web, local, six, any], admin)
    const listener = [...dealt.listeners].map(([name, fds]) => `${name} ${fds.join(' ')}`)
    assert.deepEqual(listener, ['admin', 'nobody'].includes(goesTo) ? [] : [`${goesTo} 9`])
    assert.equal(dealt.adminFd, goesTo === 'admin' ? 9 : undefined)
    assert.equal(dealt.unwanted.length, goesTo === 'nobody' ? 1 : 0)
  })
}

test('several sockets of one listener all go to it; the admin server takes one', () => {
  const at = { address: '0.0.0.0', port: 8080 }
  const sockets = [4, 5, 6].map((fd) => given(fd, 'listener', 'web', at))
  const admins = [7, 8].map((fd) => given(fd, 'admin', '', admin))
  const dealt = dealSockets([...sockets, ...admins], [web], admin)
  assert.deepEqual(dealt.listeners.get('web'), [4, 5, 6])
  assert.equal(dealt.adminFd, 7)
  assert.deepEqual(dealt.unwanted, [admins[1]])
})
