import type { C2sLimits } from '../c2s/c2s-server.ts';
import type { LimitsConfig } from '../config/server-config.ts';

/** The limits of client streams as the config has them. */
export function limitsOf(limits: LimitsConfig): C2sLimits {
  const { depth: maxDepth, attributes: maxAttributes } = limits;
  return {
    beforeLogin: { maxBytes: limits.stanzaBytesBeforeLogin, maxElements: limits.elementsBeforeLogin, maxDepth, maxAttributes },
    afterLogin: { maxBytes: limits.stanzaBytes, maxElements: limits.elements, maxDepth, maxAttributes },
    bytesPerSecond: limits.bytesPerSecond,
    burstBytes: limits.burstBytes,
    stanzasPerTurn: limits.stanzasPerTurn,
    queueBytes: limits.queueBytes,
    loginTimeout: limits.loginTimeout,
    stanzaTimeout: limits.stanzaTimeout,
    keepalive: limits.keepalive,
    idleSeconds: Math.ceil(limits.idleTimeout / 1000),
  };
}
