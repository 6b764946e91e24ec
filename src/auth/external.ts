import { Jid } from '../jid.ts';
import { type DerValue, oid, readAll, readDer, TAG } from '../net/der.ts';
import { SaslError } from '../stanza/errors.ts';
import { decodeText } from './identity.ts';
import type { SaslContext, SaslMechanism, SaslStep } from './sasl.ts';

/** id-on-xmppAddr (RFC 6120 section 13.7.1.4) and subjectAltName (RFC 5280 section 4.2.1.6), as they stand in a certificate. */
const XMPP_ADDR = oid('1.3.6.1.5.5.7.8.5');
const SUBJECT_ALT_NAME = oid('2.5.29.17');
/** `[0]` of a constructed value, which is otherName among general names; and `[3]`, which is where a certificate has its extensions. */
const CONTEXT_0 = 0xa0;
const CONTEXT_3 = 0xa3;

/** EXTERNAL for clients (XEP-0178 section 2): a certificate that a trusted authority has made for an address of this host. */
export function external(strength: number): SaslMechanism {
  return {
    name: 'EXTERNAL',
    strength,
    isOffered: ({ tls, domain }) => {
      const peer = tls?.peerCertificate();
      return peer?.authorized === true && addressesIn(peer.certificate.raw, domain).length > 0;
    },
    start: (context) => ({ step: (data) => choose(data, context) }),
  };
}

async function choose(data: Buffer, { tls, domain, accounts }: SaslContext): Promise<SaslStep> {
  const peer = tls?.peerCertificate();
  if (!peer?.authorized) throw new SaslError('not-authorized');
  const addresses = addressesIn(peer.certificate.raw, domain);
  if (addresses.length === 0) throw new SaslError('not-authorized');
  const wanted = decodeText(data);
  const jid = wanted === '' ? only(addresses) : addresses.find(({ bare }) => bare === Jid.tryParse(wanted)?.full);
  if (!jid) throw new SaslError('invalid-authzid');
  if (!(await accounts.exists(jid.local))) throw new SaslError('not-authorized');
  return { username: jid.local, data: undefined };
}

/** Somebody with several addresses has to say which one is meant (XEP-0178 section 2, step 11). */
function only(addresses: readonly Jid[]): Jid | undefined {
  return addresses.every((address) => address.equals(addresses[0]!)) ? addresses[0] : undefined;
}

/** The addresses of this host that a certificate was made for. What cannot be read counts as none. */
export function addressesIn(raw: Buffer, domain: string): readonly Jid[] {
  return alternativeNames(raw)
    .map(readXmppAddr)
    .filter((jid): jid is Jid => jid !== undefined && jid.domain === domain && jid.local !== '' && jid.isBare);
}

function alternativeNames(raw: Buffer): readonly DerValue[] {
  const certificate = within(raw, TAG.sequence);
  const signed = certificate && within(certificate, TAG.sequence);
  const marked = signed && readAll(signed).find(({ tag }) => tag === CONTEXT_3);
  const extensions = marked && within(marked.content, TAG.sequence);
  for (const { content } of extensions ? readAll(extensions) : []) {
    if (!content.subarray(0, SUBJECT_ALT_NAME.length).equals(SUBJECT_ALT_NAME)) continue;
    const value = readAll(content).find(({ tag }) => tag === TAG.octets);
    const names = value && within(value.content, TAG.sequence);
    return names ? readAll(names) : [];
  }
  return [];
}

/** otherName: an identifier, and `[0]` around the value, which is a UTF8String. */
function readXmppAddr({ tag, content }: DerValue): Jid | undefined {
  if (tag !== CONTEXT_0 || !content.subarray(0, XMPP_ADDR.length).equals(XMPP_ADDR)) return undefined;
  const wrapped = readDer(content, XMPP_ADDR.length);
  const value = wrapped?.tag === CONTEXT_0 ? readDer(wrapped.content) : undefined;
  return value?.tag === TAG.utf8 ? Jid.tryParse(value.content.toString('utf8')) : undefined;
}

/** What the first value of this tag holds. */
function within(bytes: Buffer, tag: number): Buffer | undefined {
  const value = readDer(bytes);
  return value?.tag === tag ? value.content : undefined;
}
