/** What the archive of a room notes of an item besides the TAG of all archives. */
export const ROOM_TAG = {
  /** It has changed the subject, which is told by itself to those who come in. */
  subject: 16,
} as const;
