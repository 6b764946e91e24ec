import type { Maybe } from '../hooks.ts';
import type { Jid } from '../jid.ts';
import type { Envelope, Origin } from '../stanza/envelope.ts';
import type { Stanza } from '../xml/stanza.ts';

/** A node of a cluster; a single server is one node. */
export type NodeId = string;

/** One bound client. A Session writes to its socket; in a cluster a remote one publishes to the node that holds the stream. */
export interface Resource extends Origin {
  /** Its full JID. */
  readonly jid: Jid;
  /** Undefined while bound but not available (RFC 6121 section 4.2). */
  readonly priority: number | undefined;
  /** The last available presence it broadcast, stamped with its full JID; undefined while not available. */
  readonly presence: Stanza | undefined;
  /** Whether it wants copies of what its account's other resources send and receive (XEP-0280). */
  readonly carbons: boolean;
  send(stanza: Stanza): void;
  /** Ends it because another one takes its address, with the stream error `conflict` (RFC 6120 section 7.7.2.2). */
  replace(): void;
}

/** Whatever answers for a domain: a host, a room service, a component. */
export interface Destination {
  /** Handles a stanza for this domain. Throws StanzaError to refuse it. */
  deliver(env: Envelope): Maybe<void>;
  /** Whether it waits itself until what it is given is stored (`env.stored`), and can begin its own work before. */
  readonly waits?: boolean;
}

/** Takes stanzas to whom they are addressed. Every bare JID has one owner node, and only there its resources are asked for. */
export interface Router {
  /** To anywhere: a resource, an account, a room, a host, another server. Throws (or rejects with) StanzaError when refused. */
  route(env: Envelope): Maybe<void>;
  /** For what the server itself sends: as `route`, but a refusal is dropped and a fault is logged. The stanza's from and to are set. */
  send(stanza: Stanza, from: Jid, to: Jid): void;
  /** The node that holds this account or room. */
  owner(bare: string): NodeId;
  /** Makes a resource reachable; returns the one that had its full JID. */
  bind(resource: Resource): Resource | undefined;
  /** Forgets a resource, unless another one has taken its place. True when it was there. */
  unbind(resource: Resource): boolean;
  /** The resources of an account, in the order they were bound. Asked only at the owner. */
  resources(bare: string): readonly Resource[];
  resource(full: Jid): Resource | undefined;
  /** Lets a destination answer for a domain; returns what takes it back. Throws when the domain is taken. */
  serve(domain: string, destination: Destination): () => void;
  /** Whether what answers for the domain waits itself for what has to be stored (Destination.waits). */
  waits(domain: string): boolean;
  /** Whether this server answers for the domain. */
  serves(domain: string): boolean;
}
