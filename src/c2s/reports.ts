// What the log tells of streams that end against the rules: one line for each.
import type { StreamError } from '../stanza/errors.ts';
import type { C2sStream } from './stream.ts';

/** A stream is refused something and ends. When the server itself goes, nobody needs a line for each client. */
export function reportError(stream: C2sStream, { condition, detail }: StreamError): void {
  const { server } = stream;
  server.traffic.streamErrors++;
  if (condition === 'system-shutdown' || condition === 'see-other-host') return;
  server.log.info('ended a stream with an error', { ...describe(stream), condition, reason: detail.text });
}

/** The line itself has ended with an error. Lines that break are everyday; framing and TLS that are not as they should be are told. */
export function reportBroken(stream: C2sStream, error: Error): void {
  if ('syscall' in error) return;
  stream.server.log.info('a connection broke the rules', { ...describe(stream), reason: error.message });
}

/** A stream is cut off without a word, since none would arrive. */
export function reportCut(stream: C2sStream, reason: string): void {
  stream.server.log.warn('closed a stream', { ...describe(stream), reason });
}

function describe({ transport, session }: C2sStream): { address: string; transport: string; session: string | undefined } {
  return { address: transport.remoteAddress, transport: transport.kind, session: session?.jid.full };
}
