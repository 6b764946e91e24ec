// XEP-0160: messages for who is offline are kept until somebody of the account comes online. XEP-0013: or until they are asked for.
import {
  archiveStore,
  defineModule,
  type Envelope,
  HANDLED,
  isSession,
  type Maybe,
  option,
  Priority,
  type Resource,
  sortableId,
  type Verdict,
  writeStanza,
} from '#core';
import { type Box, Boxes } from './box.ts';
import { Delivery, type Receipt, withoutForgedDelay } from './delivery.ts';
import { NS_OFFLINE, Retrieval } from './retrieval.ts';
import { judge } from './worth.ts';

export type { Receipt } from './delivery.ts';

/** When the message has passed all who may refuse, change, keep or answer it, and is about to be delivered. */
const BEFORE_DELIVERY = Priority.serve / 2;

/** What other modules get from this one. */
export interface OfflineApi {
  /**
   * Lets another module say when messages have arrived, such as stream management, which is told by the client itself; they are removed
   * then and not before. Returns what takes it back.
   */
  confirmBy(receipt: Receipt): () => void;
}

export default defineModule({
  name: 'offline',
  doc: 'Keeps messages for accounts that are offline.',
  xeps: [
    { xep: 13, version: '1.3' },
    { xep: 160, version: '1.0.1' },
    { xep: 203, version: '2.0' },
    { xep: 334, version: '1.0.0' },
  ],
  features: ['msgoffline', NS_OFFLINE],
  config: option.object({
    maxMessages: option.integer({
      default: 1000,
      min: 1,
      max: 100_000,
      doc: 'Messages kept for one account; further ones are refused.',
    }),
    maxBytes: option.bytes({ default: '4MiB', min: '16KiB', max: '1GiB', doc: 'Size of all messages kept for one account.' }),
    keepFor: option.duration({ default: 0, doc: 'Messages older than this are thrown away; 0 for never.' }),
  }),
  stores: { messages: archiveStore() },

  setup({ config, defer, disco, domain, hooks, iq, keep, log, on, router, signals, stopping, stores: { messages } }): OfflineApi {
    const boxes = new Boxes({ messages, ...config });
    const receipts = new Set<Receipt>();
    const delivery = new Delivery({ domain, router, log, stopping, receipt: findReceipt });
    /** Clients that fetch for themselves: they and their account's others are not given anything (XEP-0013 section 2.2). */
    const fetchers = keep('fetchers', () => new WeakSet<Resource>());
    const retrieval = new Retrieval({ boxes, domain, router, fetchers });

    on(hooks.messageUndeliverable, keepMessage, Priority.serve);
    on(hooks.messageReceived, putBehind, BEFORE_DELIVERY);
    on(hooks.presenceSent, deliver, Priority.record);
    on(hooks.iqReceived, retrieval.refuseOthers, Priority.guard);
    on(signals.sessionClosed, (session) => delivery.closed(session));
    on(signals.accountDeleted, ({ username }) => boxes.drop(username));
    iq.get('self', NS_OFFLINE, 'offline', retrieval.show);
    iq.set('self', NS_OFFLINE, 'offline', retrieval.remove);
    disco.extend({ node: retrieval.describe, items: retrieval.list });
    defer(() => delivery.settled());

    function keepMessage(env: Envelope): Maybe<Verdict> {
      const worth = judge(env.stanza);
      if (worth === 'refuse') return;
      if (worth === 'forget') return HANDLED;
      // Somebody may have come online since it was found that nobody is.
      const there = boxes.peek(env.to.local)?.target ? [] : takers(env.to.bare);
      for (const resource of there) resource.send(env.stanza);
      return there.length > 0 ? HANDLED : append(env);
    }

    /** What is sent to an account that is being given its messages comes after them (RFC 6120 section 10.1). */
    function putBehind(env: Envelope): Maybe<Verdict> {
      const { to, stanza } = env;
      const target = to.local === '' ? undefined : boxes.peek(to.local)?.target;
      if (!target || judge(stanza) !== 'keep') return;
      if (to.resource !== '' && to.full !== target.jid.full) return;
      // Others have their messages already, and are to get this one now.
      if (takers(to.bare).length > 1) return;
      return append(env);
    }

    async function append({ stanza, from, to }: Envelope): Promise<Verdict> {
      const text = writeStanza(withoutForgedDelay(stanza, domain));
      const item = { id: sortableId(), with: from.bare, stanza: text };
      return (await boxes.get(to.local).append(item)) ? HANDLED : undefined;
    }

    /** Begins with the first presence that lets messages come, before anything else can (RFC 6121 section 8.5.2.1.1). */
    function deliver({ stanza, origin }: Envelope): void {
      if (stanza.to !== undefined || stanza.type !== undefined || !isSession(origin)) return;
      if (origin.priority !== undefined && origin.priority >= 0) begin(boxes.get(origin.jid.local), origin);
    }

    function begin(box: Box, resource: Resource): void {
      if (box.target || !box.mayHold || isFetched(resource.jid.bare)) return;
      delivery.start(box, resource, () => {
        const next = takers(resource.jid.bare)[0];
        if (next && next !== resource && !stopping.aborted) begin(box, next);
      });
    }

    function takers(bare: string): readonly Resource[] {
      return router.resources(bare).filter(({ priority }) => priority !== undefined && priority >= 0);
    }

    function isFetched(bare: string): boolean {
      return router.resources(bare).some((resource) => fetchers.has(resource));
    }

    function findReceipt(resource: Resource): Promise<boolean> | undefined {
      for (const receipt of receipts) {
        const promise = receipt(resource);
        if (promise) return promise;
      }
      return undefined;
    }

    return {
      confirmBy(receipt) {
        receipts.add(receipt);
        return () => void receipts.delete(receipt);
      },
    };
  },
});
