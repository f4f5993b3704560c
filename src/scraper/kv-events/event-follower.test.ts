import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cleared, FollowerCase, removed, stored } from './event-case.ts'

function connected(...batches: readonly (readonly [number, Uint8Array])[]): FollowerCase {
  const follow = new FollowerCase()
  follow.follower.connected()
  assert.deepEqual(follow.asked, [0])
  follow.answer(...batches)
  return follow
}

test('everything is asked for on connecting, and live messages wait for it', () => {
  const follow = new FollowerCase()
  const { follower, known } = follow
  assert.equal(follower.state, 'broken')
  follower.connected()
  assert.equal(follower.state, 'replaying')
  follower.live(2, stored(12, 1, 2, 3))
  follower.live(1, stored(11, 1, 1, 1))
  assert.equal(known.held(1), 0)
  follow.answer([0, stored(10, 1, 0, 0)], [1, stored(11, 1, 1, 1)])
  assert.deepEqual([follower.state, follower.last, known.held(1)], ['live', 2, 4])
  follower.live(3, removed(13, 1, 3))
  assert.equal(known.held(1), 3)
})

test('a gap is asked for from the number after the last, and nothing is used until it is closed', () => {
  const follow = connected([0, stored(10, 1, 0, 3)])
  follow.follower.live(3, removed(13, 1, 3))
  assert.deepEqual([follow.asked.at(-1), follow.follower.state], [1, 'replaying'])
  follow.answer([1, stored(11, 2, 0, 1)], [2, removed(12, 1, 2)], [3, removed(13, 1, 3)])
  assert.deepEqual([follow.follower.state, follow.follower.counts.gaps], ['live', 1])
  assert.deepEqual([follow.known.held(1), follow.known.held(2)], [2, 2])
})

test('batches that are gone for good drop what is known, and the view stays partial until a clear', () => {
  const follow = connected([0, stored(10, 1, 0, 3)])
  follow.follower.live(5, stored(15, 2, 0, 1))
  follow.answer([4, stored(14, 3, 0, 0)], [5, stored(15, 2, 0, 1)])
  assert.equal(follow.follower.state, 'partial')
  assert.deepEqual([follow.known.held(1), follow.known.held(2), follow.known.held(3)], [0, 2, 1])
  follow.follower.live(6, cleared(16))
  assert.deepEqual([follow.follower.state, follow.known.held(2)], ['live', 0])
})

test('a replay that says nothing of a gap drops what is known', () => {
  const follow = connected([0, stored(10, 1, 0, 3)])
  follow.follower.live(5, stored(15, 2, 0, 1))
  follow.answer()
  assert.deepEqual([follow.follower.state, follow.known.held(1), follow.known.held(2)], ['partial', 0, 2])
})

test('past events that do not reach back to the start make a partial view', () => {
  const follow = connected([7, stored(10, 1, 0, 3)])
  assert.deepEqual([follow.follower.state, follow.known.held(1)], ['partial', 4])
})

test('numbers that start over are a new engine', () => {
  const follow = connected([0, stored(10, 1, 0, 3)], [1, stored(11, 1, 4, 4)], [2, stored(12, 1, 5, 5)])
  follow.follower.live(0, stored(20, 2, 0, 1))
  assert.deepEqual([follow.follower.state, follow.follower.counts.restarts], ['live', 1])
  assert.deepEqual([follow.known.held(1), follow.known.held(2)], [0, 2])
})

test('a new engine whose first messages were lost is asked for all of them', () => {
  const follow = connected([0, stored(10, 1, 0, 3)], [1, stored(11, 1, 4, 4)], [2, stored(12, 1, 5, 5)])
  follow.follower.live(1, stored(21, 2, 1, 1))
  assert.deepEqual([follow.follower.state, follow.asked.at(-1), follow.known.held(1)], ['replaying', 0, 0])
  follow.answer([0, stored(20, 2, 0, 0)], [1, stored(21, 2, 1, 1)])
  assert.deepEqual([follow.follower.state, follow.known.held(2)], ['live', 2])
})

test('a message that a replay has brought already is no new engine', () => {
  const follow = connected([0, stored(10, 1, 0, 3)], [1, stored(11, 1, 4, 4)])
  follow.follower.live(0, stored(10, 1, 0, 3))
  follow.follower.live(1, stored(11, 1, 4, 4))
  assert.deepEqual([follow.follower.counts.restarts, follow.known.held(1)], [0, 5])
  follow.follower.live(2, removed(12, 1, 4))
  assert.equal(follow.known.held(1), 4)
})

for (const { name, answer, held, asked } of [
  { name: 'the same engine goes on', answer: [[0, stored(10, 1, 0, 3)] as const], held: [4, 0], asked: [0, 0] },
  {
    name: 'another engine is read from its start',
    answer: [[0, stored(30, 2, 0, 1)] as const],
    held: [0, 2],
    asked: [0, 0, 0],
  },
]) {
  test(`after a lost connection ${name}`, () => {
    const follow = connected([0, stored(10, 1, 0, 3)])
    follow.follower.disconnected()
    assert.equal(follow.follower.state, 'broken')
    follow.follower.connected()
    assert.equal(follow.follower.state, 'replaying')
    follow.answer(...answer)
    if (asked.length === 3) follow.answer(...answer)
    assert.deepEqual(follow.asked, asked)
    assert.equal(follow.follower.state, 'live')
    assert.deepEqual([follow.known.held(1), follow.known.held(2)], held)
  })
}

test('an engine that is silent is asked, and its last message is not lost', () => {
  const follow = connected([0, stored(10, 1, 0, 3)])
  follow.wait(1750)
  assert.deepEqual(follow.asked, [0])
  follow.wait(250)
  assert.deepEqual([follow.asked.at(-1), follow.asked.length, follow.follower.state], [0, 2, 'live'])
  follow.answer([0, stored(10, 1, 0, 3)], [1, removed(11, 1, 3)])
  assert.deepEqual([follow.follower.state, follow.known.held(1)], ['live', 3])
})

test('an engine that does not answer is quiet, is left alone for a while and asked again', () => {
  const follow = connected([0, stored(10, 1, 0, 3)])
  follow.wait(2000 + 10_000)
  assert.deepEqual([follow.follower.state, follow.known.held(1), follow.follower.counts.failures], ['quiet', 0, 1])
  follow.follower.live(1, stored(11, 1, 4, 4))
  follow.wait(29_750)
  assert.equal(follow.asked.length, 2)
  follow.wait(250)
  assert.deepEqual([follow.asked.at(-1), follow.asked.length, follow.follower.state], [0, 3, 'replaying'])
  follow.answer([0, stored(10, 1, 0, 3)], [1, stored(11, 1, 4, 4)])
  assert.deepEqual([follow.follower.state, follow.known.held(1)], ['live', 5])
})

test('a message that makes no sense breaks the view until it is read anew', () => {
  const follow = connected([0, stored(10, 1, 0, 3)])
  follow.follower.live(1, Buffer.from('c1', 'hex'))
  assert.deepEqual([follow.follower.state, follow.known.held(1)], ['broken', 0])
  follow.wait(30_000)
  assert.equal(follow.follower.state, 'replaying')
})

test('more live messages than can wait end a replay', () => {
  const follow = connected([0, stored(10, 1, 0, 3)])
  const payload = stored(11, 1, 4, 4)
  for (let i = 0; i <= 10_001; i++) follow.follower.live(5 + i, payload)
  assert.equal(follow.follower.state, 'broken')
})

test('without past events the view is partial, and a gap empties it', () => {
  const follow = new FollowerCase(false)
  follow.follower.connected()
  assert.equal(follow.follower.state, 'partial')
  follow.follower.live(7, stored(10, 1, 0, 3))
  assert.equal(follow.known.held(1), 4)
  follow.follower.live(9, stored(12, 2, 0, 1))
  assert.deepEqual([follow.follower.state, follow.known.held(1), follow.known.held(2)], ['partial', 0, 2])
  follow.wait(60_000)
  assert.equal(follow.follower.state, 'quiet')
  follow.follower.live(10, stored(13, 2, 2, 2))
  assert.deepEqual([follow.follower.state, follow.known.held(2), follow.asked], ['partial', 3, []])
})
