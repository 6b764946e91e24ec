/** Counts by kind of stanza. Plain fields: they are raised on the hot path and read when metrics are scraped. */
export class KindCount {
  message = 0;
  presence = 0;
  iq = 0;

  /** Counts one more of this kind; anything but the three kinds of stanza is not counted. */
  add(name: string): void {
    if (name === 'message') this.message++;
    else if (name === 'presence') this.presence++;
    else if (name === 'iq') this.iq++;
  }
}

/** What passes through a server since it started. */
export class Traffic {
  /** Stanzas that clients have sent. */
  readonly received = new KindCount();
  /** Stanzas written to clients. */
  readonly delivered = new KindCount();
  /** Stanzas refused with an error. */
  refused = 0;
  /** Stanzas that failed by a fault of ours. */
  faults = 0;
  /** Streams ended with a stream error. */
  streamErrors = 0;
}
