/** A defect of another gateway that the references document, and what shows that this one does not share it. */
interface PeerDefect {
  readonly peer: 'Endpoint Picker' | 'Kthena' | 'AIBrix' | 'production-stack' | 'SMG'
  readonly defect: string
  /** File, and a part of it that is the title of a test (or of a table of cases). */
  readonly tests: readonly (readonly [file: string, title: string])[]
}

const index = 'src/struct/prefix-index.test.ts'
const eppProducers = 'src/plugins/epp/producers.test.ts'
const strategies = 'src/plugins/aibrix/strategies.test.ts'
const kthena = 'src/plugins/kthena/kthena-plugins.test.ts'
const router = 'test/router-configuration.test.ts'
const own = 'test/peer-defects.test.ts'
const blocks = 'src/scraper/kv-events/endpoint-blocks.test.ts'
const follower = 'src/scraper/kv-events/event-follower.test.ts'
const precise = 'src/plugins/producer/precise-prefix.test.ts'
const lease = 'src/datastore/lease.test.ts'
const scheduler = 'src/schedule/scheduler.test.ts'
const defaults = 'conformance/default-profile.test.ts'

/**
 * Of the defects that the references name (endpoint-picker.md 5.1, 6.4, 11.3; kthena-router.md 4, 8.2; aibrix-and-others.md A2, A5.2,
 * A7.2, B5, C1.1) those that concern scheduling, prompts known, counting of load and its configuration. Not here, because the part that
 * could share them is not built yet: queues and fairness (`vtc-basic` places by the position in a shuffled list; time limits per
 * request; detectors that drop what has just been let in; refusals in stages), tokens and rate limits, authentication,
 * the watching of a cluster, prefill and decode on different endpoints. Retries, ejection, timeouts and fidelity of bodies have
 * tests of their own beside what they are about.
 */
export const peerDefects: readonly PeerDefect[] = [
  {
    peer: 'Endpoint Picker',
    defect: '(a) the root of the oldest prompt is forgotten first',
    tests: [[eppProducers, '(a) a long chain loses its tail, not its root']],
  },
  {
    peer: 'Endpoint Picker',
    defect: '(b) an index four times as large as the engine',
    tests: [
      [eppProducers, '(b) an endpoint is taken to hold what its engine can hold, not four times as much'],
      ['src/struct/prefix-index-agreement.test.ts', 'agrees with a cache that gives up what was used longest ago'],
      ['test/end-to-end/cache-agreement.test.ts', 'agree within 5 points while engines evict'],
    ],
  },
  {
    peer: 'Endpoint Picker',
    defect: '(c) blocks behind a gap count',
    tests: [[eppProducers, '(c) only blocks without a gap count']],
  },
  {
    peer: 'Endpoint Picker',
    defect: '(d) data-parallel ranks share one entry',
    tests: [
      [own, 'have caches of their own'],
      ['src/scraper/scraper.test.ts', 'reads one page for all ranks behind an address'],
    ],
  },
  {
    peer: 'Endpoint Picker',
    defect: '(e) short prompts score as high as long ones',
    tests: [[own, 'weighs by its length: a short one gives way to a short queue, a long one does not']],
  },
  {
    peer: 'Endpoint Picker',
    defect: '(f) one lock, and a copy of a set for each block',
    tests: [
      [own, 'is looked up without a lock and without a copy of who holds it'],
      ['src/struct/prefix-index-threads.test.ts', 'two threads leave no count behind in an index with room'],
    ],
  },
  {
    peer: 'Endpoint Picker',
    defect: '(g) each replica knows its own prompts only, so that two of them halve the hits',
    tests: [[own, 'two of them lose next to nothing of the hits of one']],
  },
  {
    peer: 'Endpoint Picker',
    defect: 'a request that failed counts as cached',
    tests: [[eppProducers, 'a request that fails before its first token leaves nothing behind']],
  },
  {
    peer: 'Endpoint Picker',
    defect: 'the block size is that of the first candidate',
    tests: [[eppProducers, 'the block size does not depend on the order of the candidates']],
  },
  {
    peer: 'Endpoint Picker',
    defect: 'endpoints that are gone stay in the index for two minutes, engines that were restarted for ever',
    tests: [
      [index, 'lets an endpoint vanish at once'],
      ['src/scraper/restarts.test.ts', 'tells that an engine was started anew, though no scrape has missed it'],
      [
        'test/end-to-end/cache-agreement.test.ts',
        'a restart that no scrape has missed is told by what the engine counts',
      ],
    ],
  },
  {
    peer: 'Endpoint Picker',
    defect: 'a metric that was never reported counts as 0, an old one for ever',
    tests: [
      ['src/scraper/scraper.test.ts', 'lets values decay to unknown, not to zero, when pages stop coming'],
      ['src/datastore/endpoint-table.test.ts', 'a fresh row knows nothing: unknown is NaN, not zero'],
    ],
  },
  {
    peer: 'Kthena',
    defect: 'no score plug-in, or one with nothing to say: 503',
    tests: [[router, 'requests are served where the original refuses them']],
  },
  {
    peer: 'Kthena',
    defect: 'all engines have a queue: 400',
    tests: [[router, 'and a queue at every engine is 503 with a time to come back, not 400']],
  },
  {
    peer: 'Kthena',
    defect: 'unknown plug-ins, keys and `disabled` are passed over',
    tests: [
      [router, 'what is wrong is told with its place'],
      [router, 'what is not done as written is warned of'],
    ],
  },
  {
    peer: 'Kthena',
    defect: 'one policy for all models, read once',
    tests: [
      ['test/profile-choice.test.ts', 'is that of its rule, which goes before that of the model server'],
      ['test/end-to-end/profiles.test.ts', 'after a reload that allows nothing the headers mean nothing'],
    ],
  },
  {
    peer: 'Kthena',
    defect: 'requests since the last scrape count a hundredfold',
    tests: [[kthena, 'does not take a burst since the last report for a queue in the engine']],
  },
  {
    peer: 'Kthena',
    defect: 'an engine that does not report its cache counts as empty',
    tests: [[kthena, 'who does not report it has no score, not the best']],
  },
  {
    peer: 'Kthena',
    defect: 'requests in flight leak when a router dies or a count goes wrong',
    tests: [
      [router, 'and requests in flight are given back whatever became of them'],
      ['src/datastore/held-leases.test.ts', 'the share of a thread that is gone is taken out of the table'],
    ],
  },
  {
    peer: 'Kthena',
    defect: 'an adapter that nobody has loaded is 400',
    tests: [[kthena, 'lora-affinity keeps who has the adapter, and all when nobody has it']],
  },
  {
    peer: 'Kthena',
    defect: 'only the first 8,192 bytes of a prompt count',
    tests: [[kthena, 'prefix-cache and kvcache-aware are the cached share of the whole prompt']],
  },
  {
    peer: 'Kthena',
    defect: 'prompts are learned when the answer has ended, so that a burst spreads',
    tests: [[own, 'is found by the second request of a burst, before the first has an answer']],
  },
  {
    peer: 'Kthena',
    defect: 'tenants with different salts share a table, adapters and bases too',
    tests: [
      [precise, 'a salt keeps prompts apart, known or not'],
      ['src/struct/prompt-hasher.test.ts', 'shares nothing between salts'],
    ],
  },
  {
    peer: 'Kthena',
    defect: 'block hashes that do not depend on what stands before',
    tests: [['src/struct/token-chain.test.ts', 'keys agree exactly as far as tokens do']],
  },
  {
    peer: 'Kthena',
    defect: 'a block that is not full is hashed, and never found',
    tests: [['src/struct/prompt-hasher.test.ts', 'hashes full blocks only']],
  },
  {
    peer: 'Kthena',
    defect: 'the block size of the engine must be the configured one',
    tests: [
      [blocks, 'keys do not depend on the size of the blocks'],
      [precise, 'keys further apart count where blocks are larger'],
    ],
  },
  {
    peer: 'Kthena',
    defect: 'tokens are asked for while the request waits',
    tests: [[precise, 'a prompt whose tokens are unknown is placed by what was sent, and is asked for once']],
  },
  {
    peer: 'AIBrix',
    defect: 'a strategy without its metric is chance, silently',
    tests: [
      [strategies, 'a strategy whose signal nobody has is least-request, says so, and never a game of chance'],
      [
        'test/end-to-end/profiles.test.ts',
        'a strategy without a signal is least-request, in the log and in the metrics',
      ],
    ],
  },
  {
    peer: 'AIBrix',
    defect: '`throughput` is always 0, parts of `least-latency` too',
    tests: [
      [strategies, 'throughput counts prompt tokens twice, output tokens once, and forgets'],
      [strategies, 'adds the time to the first token and that of 100 tokens'],
    ],
  },
  {
    peer: 'AIBrix',
    defect: 'strategies need metrics that engines no longer have',
    tests: [[strategies, 'the strategies by KV cache need no name that engines have given up']],
  },
  {
    peer: 'AIBrix',
    defect: 'the last of equals, or the first, gets all',
    tests: [
      ['test/profile-choice.test.ts', 'and equals are drawn evenly'],
      [defaults, 'equal endpoints are chosen with equal chance, whatever their position'],
    ],
  },
  {
    peer: 'AIBrix',
    defect: 'sessions show addresses of endpoints and know no load',
    tests: [
      [strategies, 'finds the endpoint of the id that it gave out, which names no address'],
      [strategies, 'looks at load, where AIBrix does not'],
    ],
  },
  {
    peer: 'AIBrix',
    defect: 'counts change after the choice, so that requests at once see the same',
    tests: [
      [scheduler, 'reserves the endpoint in the same step, so that the next one sees it'],
      [defaults, 'a burst spreads although the last report calls all idle'],
    ],
  },
  {
    peer: 'AIBrix',
    defect: 'an update of an endpoint zeroes its counts, which then fall below 0',
    tests: [
      ['src/datastore/assign-slots.test.ts', 'stay with their endpoints over snapshots, whatever the order'],
      [lease, 'does nothing to an endpoint that has taken over its slot'],
    ],
  },
  {
    peer: 'AIBrix',
    defect: 'a client that gives up leaves its count behind; counts expire while requests run',
    tests: [
      [defaults, 'requests that come and go in any order leave no lease'],
      [lease, 'is released once, however often it is released'],
    ],
  },
  {
    peer: 'AIBrix',
    defect: 'the whole table is gone through each second',
    tests: [[index, 'stays as large as it is over any number of insertions']],
  },
  {
    peer: 'AIBrix',
    defect: 'looking a prompt up does not keep it',
    tests: [[index, 'keeps hot prefixes when far more passes through than there is room for']],
  },
  {
    peer: 'AIBrix',
    defect: 'what one engine removes is gone from all',
    tests: [[own, 'say nothing of another: what one gives up the other still has']],
  },
  {
    peer: 'AIBrix',
    defect: 'an event with several blocks has one parent for all',
    tests: [[blocks, 'blocks are held from the first on, as far as none is missing']],
  },
  {
    peer: 'AIBrix',
    defect: 'blocks of 16 bytes for the blocks of 16 tokens of the engine',
    tests: [
      [
        'test/end-to-end/precise-prefix.test.ts',
        'what an engine will find of a prompt that is known is foretold exactly',
      ],
    ],
  },
  {
    peer: 'AIBrix',
    defect: 'replays are thrown away, and gaps only counted',
    tests: [[follower, 'a gap is asked for from the number after the last, and nothing is used until it is closed']],
  },
  {
    peer: 'AIBrix',
    defect: 'blocks are looked up without the adapter',
    tests: [[blocks, 'adapters and salts have keys of their own']],
  },
  {
    peer: 'AIBrix',
    defect: 'a clear is not heard',
    tests: [[blocks, 'a clear forgets everything, but a request that runs through it goes on']],
  },
  {
    peer: 'production-stack',
    defect: 'a tree of prompts without a bound',
    tests: [
      [index, 'stays as large as it is over any number of insertions'],
      ['src/struct/learned-prompts.test.ts', 'memory is bounded; what was used last stays'],
    ],
  },
  {
    peer: 'production-stack',
    defect: 'a reload loses what routing was told and has learned',
    tests: [
      ['test/end-to-end/sessions.test.ts', 'stay where they are over a reload'],
      ['src/plugins/session/session-affinity.test.ts', 'is known to all threads and after a reload'],
    ],
  },
  {
    peer: 'production-stack',
    defect: 'exact matching does not know chats',
    tests: [['test/end-to-end/precise-prefix.test.ts', 'a gateway places prompts by the events of its engines']],
  },
  {
    peer: 'SMG',
    defect: 'load is counted when an answer begins: long prompts with short answers all go to one endpoint',
    tests: [[own, 'and one token to answer spread before any of them has begun to answer']],
  },
  {
    peer: 'SMG',
    defect: 'a path that does not count load sends all to the first endpoint',
    tests: [[own, 'requests with prompts of their own']],
  },
  {
    peer: 'SMG',
    defect: 'one busy endpoint ends affinity at all others',
    tests: [[own, 'is followed while another endpoint has far more requests than the rest']],
  },
  {
    peer: 'SMG',
    defect: 'a beginning that all share draws everything to one endpoint',
    tests: [
      [
        'src/plugins/scorer/cost.test.ts',
        'of another copy falls when more requests want the prefix than its copies can carry',
      ],
    ],
  },
  {
    peer: 'SMG',
    defect: 'an endpoint that is removed stays in the tree',
    tests: [[index, 'lets an endpoint vanish at once, and a new one in its slot starts with nothing']],
  },
]
