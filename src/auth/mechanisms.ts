import type { AuthenticationConfig } from '../config/server-config.ts';
import { anonymous } from './anonymous.ts';
import { external } from './external.ts';
import { plain } from './plain.ts';
import type { SaslMechanism } from './sasl.ts';
import { SCRAM_NAMES, scram } from './scram.ts';
import type { Guard } from './throttle.ts';

/** Mechanisms from strong to weak; a client takes the first it knows. */
const STRENGTH: ReadonlyMap<string, number> = new Map(
  [
    'EXTERNAL',
    'SCRAM-SHA-512-PLUS',
    'SCRAM-SHA-512',
    'SCRAM-SHA-256-PLUS',
    'SCRAM-SHA-256',
    'SCRAM-SHA-1-PLUS',
    'SCRAM-SHA-1',
    'PLAIN',
    'ANONYMOUS',
  ].map((name, i) => [name, 100 - 10 * i]),
);

/** The mechanisms that a host's config switches on. */
export function createMechanisms(config: AuthenticationConfig, guard: Guard): readonly SaslMechanism[] {
  const mechanisms = config.mechanisms.map((name) => create(name, config, guard));
  if (config.external) mechanisms.push(external(STRENGTH.get('EXTERNAL')!));
  if (config.anonymous) mechanisms.push(anonymous(STRENGTH.get('ANONYMOUS')!));
  return mechanisms;
}

function create(name: AuthenticationConfig['mechanisms'][number], config: AuthenticationConfig, guard: Guard): SaslMechanism {
  const strength = STRENGTH.get(name)!;
  if (name === 'PLAIN') return plain({ strength, guard, isOpenOnLoopback: config.plainWithoutTlsOnLoopback });
  const hash = (['sha1', 'sha256', 'sha512'] as const).find((each) => name.replace(/-PLUS$/, '') === SCRAM_NAMES[each])!;
  return scram(hash, name.endsWith('-PLUS'), { strength, guard });
}
