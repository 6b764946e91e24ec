import { prepareDomainName } from './precis/domain.ts';
import { opaqueString, usernameCaseMapped } from './precis/profiles.ts';

/** The parts of an address. */
export type JidPart = 'local' | 'domain' | 'resource';

/** Refuses a text that is no address. Says which part is at fault, never what was written. */
export class JidError extends Error {
  override readonly name = 'JidError';
  readonly part: JidPart;

  constructor(part: JidPart) {
    const limit = Error.stackTraceLimit; // refusing an address is ordinary work: no stack trace
    Error.stackTraceLimit = 0;
    super(`Not an address: the ${part} part is malformed`);
    Error.stackTraceLimit = limit;
    this.part = part;
  }
}

/** Bytes of UTF-8 in a part (RFC 7622 sections 3.2, 3.3 and 3.4). */
const MAX_BYTES = 1023;
/** UTF-16 units of a text that can still become an address: preparation makes a part at most three times shorter. */
const MAX_TEXT = 3 * (3 * MAX_BYTES) + 2;

/** ASCII that needs no preparation: all printable but capitals and `"&'/:<>@` (RFC 7622 section 3.3.1). */
const PLAIN_LOCAL = /^[a-z0-9!#$%()*+,\-.;=?[\\\]^_`{|}~]+$/;
const PLAIN_RESOURCE = /^[ -~]+$/;
const BEYOND_LATIN1 = /[\u0100-\uffff]/;
const EXCLUDED = /["&'/:<>@]/;

/**
 * An address of the network (RFC 7622), prepared: two addresses mean the same entity exactly when their `full` is the same string.
 * Domains are kept with U-labels. Never changes, so objects are shared.
 */
export class Jid {
  /** The account or room, '' when it addresses a server. */
  readonly local: string;
  /** The server. */
  readonly domain: string;
  /** The client or occupant, '' when there is none. */
  readonly resource: string;
  /** Without the resource, as text. */
  readonly bare: string;
  /** The whole address, as text. */
  readonly full: string;
  #bareJid: Jid | undefined;

  private constructor(local: string, domain: string, resource: string, bare: string, full: string) {
    this.local = local;
    this.domain = domain;
    this.resource = resource;
    this.bare = bare;
    this.full = full;
  }

  /** From parts that have been prepared, '' for those that are absent. Checks nothing. */
  static of(local: string, domain: string, resource = ''): Jid {
    const bare = local === '' ? domain : `${local}@${domain}`;
    return new Jid(local, domain, resource, bare, resource === '' ? bare : `${bare}/${resource}`);
  }

  /** Reads and prepares an address. Throws JidError for what is none, and nothing else. */
  static parse(text: string): Jid {
    const jid = recent.get(text) ?? Jid.#read(text);
    if (typeof jid === 'string') throw new JidError(jid);
    return jid;
  }

  /** Reads and prepares an address; undefined for what is none. */
  static tryParse(text: string): Jid | undefined {
    const jid = recent.get(text) ?? Jid.#read(text);
    return typeof jid === 'string' ? undefined : jid;
  }

  /** Prepares a localpart, which is also a username (RFC 7622 section 3.3). Throws JidError. */
  static prepareLocal(text: string): string {
    return prepared(text, 'local');
  }

  /** Prepares a domainpart: U-labels, no final dot (RFC 7622 section 3.2). Throws JidError. */
  static prepareDomain(text: string): string {
    return prepared(text, 'domain');
  }

  /** Prepares a resourcepart (RFC 7622 section 3.4). Throws JidError. */
  static prepareResource(text: string): string {
    return prepared(text, 'resource');
  }

  /** Without the resource; itself when it has none. */
  get bareJid(): Jid {
    if (this.resource === '') return this;
    this.#bareJid ??= new Jid(this.local, this.domain, '', this.bare, this.bare);
    return this.#bareJid;
  }

  /** True when it has no resource. */
  get isBare(): boolean {
    return this.resource === '';
  }

  /** True when it is a domain and nothing else. */
  get isDomain(): boolean {
    return this.local === '' && this.resource === '';
  }

  /** The same account or room with another resource, which has been prepared. */
  withResource(resource: string): Jid {
    return new Jid(this.local, this.domain, resource, this.bare, resource === '' ? this.bare : `${this.bare}/${resource}`);
  }

  /** Whether both address the same entity. */
  equals(other: Jid): boolean {
    return this === other || this.full === other.full;
  }

  /** The whole address. */
  toString(): string {
    return this.full;
  }

  /** Reads what is not among the recent. Gives the part that is malformed when it is no address. */
  static #read(text: string): Jid | JidPart {
    const own = text.length > MAX_TEXT ? text : detach(text);
    const jid = Jid.#split(own);
    if (typeof jid === 'string' || own.length > Recent.maxLength) return jid;
    // Another spelling of an address already known shares its object.
    const shared = jid.full === own ? jid : (recent.get(jid.full) ?? jid);
    recent.add(own, shared);
    return shared;
  }

  /** RFC 7622 section 3.1: the resource is cut off at the first slash, then the localpart at the first at sign before it. */
  static #split(text: string): Jid | JidPart {
    const slash = text.indexOf('/');
    const rest = slash < 0 ? text : text.slice(0, slash);
    const at = rest.indexOf('@');
    const written = {
      local: at < 0 ? '' : rest.slice(0, at),
      domain: at < 0 ? rest : rest.slice(at + 1),
      resource: slash < 0 ? '' : text.slice(slash + 1),
    };
    const local = at < 0 ? '' : prepareLocal(written.local);
    if (local === undefined) return 'local';
    const domain = prepareDomain(written.domain);
    if (domain === undefined) return 'domain';
    const resource = slash < 0 ? '' : prepareResource(written.resource);
    if (resource === undefined) return 'resource';
    const isPlain = local === written.local && domain === written.domain && resource === written.resource;
    return isPlain ? new Jid(local, domain, resource, rest, text) : Jid.of(local, domain, resource);
  }
}

/** Addresses read lately, by what was written. */
class Recent {
  /** Two generations of this many: when the younger is full, the older is forgotten. */
  static readonly #GENERATION = 8192;
  /** Longer texts are not kept; with it the whole cannot outgrow some 20 MB, whatever is written. */
  static readonly maxLength = 256;

  #young = new Map<string, Jid>();
  #old = new Map<string, Jid>();

  get(text: string): Jid | undefined {
    const jid = this.#young.get(text);
    if (jid !== undefined) return jid;
    const survivor = this.#old.get(text);
    if (survivor !== undefined) this.add(survivor.full === text ? survivor.full : detach(text), survivor);
    return survivor;
  }

  add(text: string, jid: Jid): void {
    if (this.#young.size >= Recent.#GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, jid);
  }
}

const recent = new Recent();

/**
 * A copy of its own. What was read from a stanza is to V8 a window on the whole stanza, which would stay in memory for as long
 * as the address does.
 */
function detach(text: string): string {
  const encoding = BEYOND_LATIN1.test(text) ? 'utf16le' : 'latin1';
  return Buffer.from(text, encoding).toString(encoding);
}

function prepareLocal(text: string): string | undefined {
  if (PLAIN_LOCAL.test(text)) return text.length <= MAX_BYTES ? text : undefined;
  const local = usernameCaseMapped(text);
  return local === undefined || EXCLUDED.test(local) || Buffer.byteLength(local) > MAX_BYTES ? undefined : local;
}

function prepareDomain(text: string): string | undefined {
  const domain = prepareDomainName(text);
  return domain === undefined || Buffer.byteLength(domain) > MAX_BYTES ? undefined : domain;
}

function prepareResource(text: string): string | undefined {
  if (PLAIN_RESOURCE.test(text)) return text.length <= MAX_BYTES ? text : undefined;
  const resource = opaqueString(text);
  return resource === undefined || Buffer.byteLength(resource) > MAX_BYTES ? undefined : resource;
}

const PREPARE: Readonly<Record<JidPart, (text: string) => string | undefined>> = {
  local: prepareLocal,
  domain: prepareDomain,
  resource: prepareResource,
};

function prepared(text: string, part: JidPart): string {
  const result = PREPARE[part](text);
  if (result === undefined) throw new JidError(part);
  return result;
}
