import { randomBytes } from 'node:crypto';
import type { SaslMechanism, SaslStep } from './sasl.ts';

const NAME_BYTES = 16;
const GUEST_NAME = /^[0-9a-f]{32}$/;

/**
 * ANONYMOUS (RFC 4505, XEP-0175): anybody, under a name that nobody has and nobody can guess. There is no account behind it, and
 * what was kept for it is erased when it leaves. The trace a client may send is not looked at; one that sends none comes in at once (XEP-0175 section 3).
 */
export function anonymous(strength: number): SaslMechanism {
  return {
    name: 'ANONYMOUS',
    strength,
    isOffered: () => true,
    start: () => ({ step: letIn, begin: letIn }),
  };
}

function letIn(): SaslStep {
  return { username: randomBytes(NAME_BYTES).toString('hex'), data: undefined, isAnonymous: true };
}

/** Whether a prepared username has the form of those that ANONYMOUS gives, which nobody may have for good. */
export function isGuestName(username: string): boolean {
  return GUEST_NAME.test(username);
}
