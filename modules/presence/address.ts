import { Jid } from '#core';
import type { Contact, Roster } from '../roster/index.ts';

/** Whether an address means this entity: a full JID itself, a bare one all its resources, a domain all that is there (XEP-0191 section 5). */
export function isAt(address: Jid, entity: Jid): boolean {
  return address.full === entity.full || address.full === entity.bare || address.full === entity.domain;
}

/** The contacts that an address stands for, with the address to reach them at. */
export function contactsAt(roster: Roster, address: Jid): readonly { readonly jid: Jid; readonly contact: Contact }[] {
  if (address.isDomain) {
    const found = [...roster.contacts].map((contact) => ({ jid: Jid.parse(contact.jid), contact }));
    return found.filter(({ jid }) => isAt(address, jid));
  }
  const contact = roster.get(address.bare);
  return contact ? [{ jid: address, contact }] : [];
}
