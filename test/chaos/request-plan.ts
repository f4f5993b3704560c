/** Models of the gateway under test: which endpoints a request may meet. */
export const chaosModels = {
  /** Endpoints that are always there; what goes wrong is in the plan of each request. */
  steady: { served: 'steady', isShaky: false },
  /** The same endpoints under a name that the engines do not know. */
  'steady by another name': { served: 'steady', isShaky: false },
  /** One endpoint that refuses, one that never answers, some that restart, and statuses that ask to be left alone. */
  shaky: { served: 'shaky', isShaky: true },
} as const

/** Name of a model under test. */
export type ChaosModel = keyof typeof chaosModels

/** One request: what is asked, and what the engine does to it each time it gets it. */
export interface RequestPlan {
  /** Sent as `x-request-id`; every byte of the bodies can be told from those of others by it. */
  readonly id: string
  readonly model: ChaosModel
  readonly api: 'chat' | 'messages'
  readonly stream: boolean
  /** Whether the client itself asks for the usage chunk. */
  readonly wantsUsage: boolean
  readonly promptBytes: number
  /** Content of the answer, split over `pieces`. */
  readonly answerBytes: number
  readonly pieces: number
  /** How the engine frames a whole answer. */
  readonly framing: 'length' | 'chunked' | 'close'
  /** Names of faults by delivery: the first one, the second one (a retry), ...; `ok` behind the last. */
  readonly faults: readonly string[]
  /** Whatever else must be drawn while the request is under way comes from here. */
  readonly seed: number
}
