import { inspect } from 'node:util';
import type { Knex } from 'knex';
import type { Log } from '../log.ts';

/** Takes what knex has to say into our log; it would go to the console otherwise. */
export function knexLog(log: Log): Knex.Logger {
  return {
    debug: (said: unknown) => log.debug('knex tells', { said: textOf(said) }),
    warn: (said: unknown) => log.warn('knex warns', { said: textOf(said) }),
    error: (said: unknown) => log.error('knex reports an error', { said: textOf(said) }),
    deprecate: (said: unknown) => log.warn('knex calls something outdated', { said: textOf(said) }),
  };
}

function textOf(said: unknown): string {
  return typeof said === 'string' ? said : inspect(said, { depth: 3 });
}
