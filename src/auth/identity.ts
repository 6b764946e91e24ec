import { Jid } from '../jid.ts';
import { SaslError } from '../stanza/errors.ts';

/** The account a peer names to log in to: a prepared localpart. Throws SaslError `not-authorized` for what cannot be one. */
export function prepareUsername(text: string): string {
  const prepared = tryPrepare(text);
  if (prepared === undefined) throw new SaslError('not-authorized');
  return prepared;
}

/**
 * Checks that somebody only asks to act as themselves (RFC 6120 section 6.3.8): an authorization identity is empty, or the account's own
 * bare JID, or its name. Throws SaslError `invalid-authzid`.
 */
export function checkAuthzid(authzid: string, username: string, domain: string): void {
  if (authzid === '' || tryPrepare(authzid) === username) return;
  const jid = Jid.tryParse(authzid);
  if (jid?.local !== username || jid.domain !== domain || !jid.isBare) throw new SaslError('invalid-authzid');
}

/** Reads UTF-8 strictly (RFC 3629 section 3), NUL among it. Throws SaslError `malformed-request`. */
export function decodeText(data: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new SaslError('malformed-request');
  }
}

function tryPrepare(text: string): string | undefined {
  try {
    return Jid.prepareLocal(text);
  } catch {
    return undefined;
  }
}
