import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { der, oid, sequence, TAG, time } from './der.ts';

const DAY = 86_400_000;
/** Long enough to be forgotten, short enough for clients that refuse certificates of many years. */
const VALIDITY = 365 * DAY;
/** Clocks of clients may be slow. */
const BACKDATED = DAY;

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
/** serverAuth and clientAuth: towards other servers it is a client's certificate as well. */
const KEY_PURPOSES = sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2'));
const CRITICAL = der(TAG.boolean, Buffer.from([0xff]));
/** It signs handshakes, no certificates: there are clients that take no authority for a server. */
const KEY_USAGE = Buffer.from([7, 0x80]);

/** A certificate and its private key, PEM. */
export interface KeyedCertificate {
  readonly certificate: string;
  readonly key: string;
}

/**
 * Makes a certificate (RFC 5280) for a host and the services below it, valid for a year, with an ECDSA key on P-256. `domain` is
 * written with A-labels, or is an IP address. `localhost` also gets the loopback addresses.
 */
export function createSelfSigned(domain: string, now: number): KeyedCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const name = subject(domain);
  const tbs = sequence(
    der(0xa0, der(TAG.integer, Buffer.from([2]))), // version 3
    der(TAG.integer, serialNumber()),
    ECDSA_SHA256,
    name,
    sequence(time(now - BACKDATED), time(now + VALIDITY)),
    name,
    spki,
    der(0xa3, sequence(...extensions(domain, spki))),
  );
  const signature = sign('sha256', tbs, privateKey);
  const certificate = sequence(tbs, ECDSA_SHA256, der(TAG.bits, Buffer.from([0]), signature));
  return {
    certificate: toPem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** Twenty positive octets at most (RFC 5280 section 4.1.2.2). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes;
}

/** A common name holds at most 64 characters (RFC 5280 appendix A.1); nobody reads it any more (RFC 9525). */
function subject(domain: string): Buffer {
  return sequence(der(TAG.set, sequence(oid('2.5.4.3'), der(TAG.utf8, Buffer.from(domain.slice(0, 64))))));
}

function extensions(domain: string, spki: Buffer): readonly Buffer[] {
  const keyId = der(TAG.octets, createHash('sha1').update(spki).digest());
  return [
    sequence(oid('2.5.29.17'), der(TAG.octets, sequence(...alternativeNames(domain)))),
    sequence(oid('2.5.29.19'), CRITICAL, der(TAG.octets, sequence())), // basic constraints: no authority
    sequence(oid('2.5.29.15'), CRITICAL, der(TAG.octets, der(TAG.bits, KEY_USAGE))),
    sequence(oid('2.5.29.37'), der(TAG.octets, KEY_PURPOSES)),
    sequence(oid('2.5.29.14'), der(TAG.octets, keyId)),
  ];
}

function alternativeNames(domain: string): readonly Buffer[] {
  const host = domain.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) !== 0) return [ipName(host)];
  const names = [dnsName(domain), dnsName(`*.${domain}`)];
  return domain === 'localhost' ? [...names, ipName('127.0.0.1'), ipName('::1')] : names;
}

function dnsName(name: string): Buffer {
  return der(0x82, Buffer.from(name, 'latin1'));
}

function ipName(address: string): Buffer {
  return der(0x87, Buffer.from(ipaddr.parse(address).toByteArray()));
}

function toPem(label: string, content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
