import { Fault } from '#core/fault.ts'
import type { ListenFailure } from './data-messages.ts'

/** What to do about listeners. */
export const listenHint = {
  inUse: 'Another program listens there: stop it, or choose another port with listeners[].port.',
  privileged: 'Ports below 1024 need privileges: choose another port with listeners[].port.',
  narrow:
    'the socket that was inherited does not share its port; with systemd set ReusePort=yes in the socket unit, or set threads to 1',
} as const

/** The system's error on opening a listener, in words that say what to do. */
export function listenFault({ message, code }: ListenFailure): Fault {
  const hints: Readonly<Record<string, string>> = { EADDRINUSE: listenHint.inUse, EACCES: listenHint.privileged }
  const hint = hints[code ?? '']
  return new Fault('self', `a listener cannot be opened: ${message}.${hint === undefined ? '' : ` ${hint}`}`)
}
