import { randomBytes } from 'node:crypto';
import type { SaslMechanism, SaslStep } from './sasl.ts';

/**
 * ANONYMOUS (RFC 4505, XEP-0175): anybody, under a name that nobody has and nobody can guess. There is no account behind it, so nothing is
 * kept for it. The trace a client may send is not looked at; one that sends none comes in at once (XEP-0175 section 3).
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
  return { username: randomBytes(16).toString('hex'), data: undefined };
}
