/** What a slot is asked for (XEP-0363 section 6). */
export type Purpose = 'ephemeral' | 'message' | 'permanent' | 'profile';

/** Who may fetch a file: whoever has the link, whoever has a link that has not run out, or the people it was sent to. */
export type Access = 'link' | 'people' | 'signed';

/** A file, or the slot for one, as it is stored. */
export interface FileRecord {
  /** The local part of the account it belongs to. */
  readonly owner: string;
  readonly name: string;
  /** As the client says. */
  readonly type: string;
  /** Bytes; exactly so many are taken. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** Until when a slot may be used, and a file is kept; undefined for ever. */
  readonly expires?: number;
  /** When it has to be gone in any case, as its owner has asked for. */
  readonly notAfter?: number;
  readonly purpose: Purpose;
  readonly access: Access;
  /** The bare JID of the person or room it is for, where that is known. */
  readonly with?: string;
  /** SHA-256 of what lets its owner upload it, in hex. */
  readonly secret: string;
  /** SHA-256 of the bytes, in hex; undefined until all of them are there. */
  readonly sha256?: string;
}

/** What of a file counts against its owner's quota. */
export interface Owned {
  readonly size: number;
  readonly created: number;
}

/** Whether all of it is there. */
export function isComplete({ sha256 }: FileRecord): boolean {
  return sha256 !== undefined;
}

/** Whether it is too late to upload it, or it is not kept any longer. */
export function isOver({ expires }: FileRecord, now = Date.now()): boolean {
  return expires !== undefined && expires <= now;
}
