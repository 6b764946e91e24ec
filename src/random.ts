import { randomFillSync } from 'node:crypto';

/** Drawn at once: a call of the system's generator costs more than what it brings. */
const POOL_BYTES = 4096;
const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

/**
 * A text that nobody can guess, of the alphabet of Base64url: as many random bytes of the system's generator as asked for (1 to 64).
 * Cheap enough to be made for each connection.
 */
export function randomToken(bytes: number): string {
  if (used + bytes > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const start = used;
  used += bytes;
  const token = pool.toString('base64url', start, used);
  // Whoever reads the memory of this process later does not find what was given out.
  pool.fill(0, start, used);
  return token;
}
