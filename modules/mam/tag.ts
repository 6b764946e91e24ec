/** What an archive notes of each item, so that it can be chosen without a look at the stanza: bits of `ArchiveItem.tag`. */
export const TAG = {
  /** The account has sent it. */
  outgoing: 1,
  /** An instant message, which counts as unread until it has been displayed: it has a body, or is encrypted. */
  conversation: 2,
  /** Of type groupchat (`include-groupchat`, XEP-0313 section 4.1.4). */
  groupchat: 4,
  /** What is left of a message that was retracted (XEP-0424): its place, without its words. */
  tombstone: 8,
} as const;
