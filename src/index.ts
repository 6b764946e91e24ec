/** The surface that modules may import, as `#core` inside this project and as `parlance` outside. What is not here is the core's own business. */
export type { AccountInfo, Accounts } from './auth/accounts.ts';
export { isGuestName } from './auth/anonymous.ts';
export type { ChannelBindingType, SaslContext, SaslExchange, SaslMechanism, SaslStep } from './auth/sasl.ts';
export { bind } from './c2s/bind.ts';
export { isSession, type Keeper, type Session } from './c2s/session.ts';
export type { SavedSlots, SessionSlot, SlotForm } from './c2s/slot.ts';
export type { C2sStream } from './c2s/stream.ts';
export { Cache } from './cache.ts';
export { ConfigError } from './config/errors.ts';
export { type Infer, option, type Schema } from './config/option.ts';
export { after, HANDLED, type Handler, Hook, type Listener, type Maybe, Priority, Signal, type Verdict } from './hooks.ts';
export type { Disco, DiscoItem, DiscoQuestion, Identity, NodeInfo } from './host/disco.ts';
export { fanOut } from './host/fan-out.ts';
export type {
  AccountDeleting,
  Binding,
  FeaturesOffer,
  Handover,
  HostHooks,
  HostSignals,
  Outgoing,
  StreamElement,
} from './host/hooks.ts';
export type { Query, QueryHandler, QueryTarget } from './host/queries.ts';
export { firstIdAt, sortableId, timeOf } from './ids.ts';
export { Jid, JidError } from './jid.ts';
export type { Log } from './log.ts';
export type { Metrics } from './metrics.ts';
export {
  type AnyModule,
  defineModule,
  type Endpoints,
  type Module,
  type ModuleContext,
  type ModuleRef,
} from './module/module.ts';
export { isLoopback, neighbourhood } from './net/addresses.ts';
export { flushNow } from './net/flush.ts';
export { HttpError, type HttpHandler, type HttpRequest } from './net/http.ts';
export { OneByOne } from './one-by-one.ts';
export { randomToken } from './random.ts';
export type { Destination, Resource, Router } from './router/router.ts';
export { type Kept, Shelf } from './shelf.ts';
export { readDateTime, writeDateTime } from './stanza/datetime.ts';
export { Envelope, nobody, type Origin } from './stanza/envelope.ts';
export { readStanzaError, SaslError, type StanzaCondition, StanzaError, StreamError } from './stanza/errors.ts';
export { type FormField, readForm, writeForm } from './stanza/forms.ts';
export { errorOf, resultOf } from './stanza/reply.ts';
export { NS_RSM, type RsmPage, type RsmRequest, readRsm, writeRsm } from './stanza/rsm.ts';
export { keptSecret } from './storage/secret.ts';
export {
  type ArchiveFilter,
  type ArchiveItem,
  type ArchivePage,
  type ArchiveStore,
  archiveStore,
  type ItemFilter,
  type ItemPage,
  type ItemStore,
  itemStore,
  type MapStore,
  type Migration,
  mapStore,
  type NodeItem,
} from './storage/storage.ts';
export { compareBytes, cutText, detachText } from './text.ts';
export { Turns } from './turns.ts';
export { Element, xml } from './xml/element.ts';
export { escapeXml } from './xml/escape.ts';
export { Stanza } from './xml/stanza.ts';
export { readElement, readStanza, writeElement, writeStanza, XmlText } from './xml/text.ts';
export { toWire } from './xml/wire.ts';
