// What the server counts, as its metrics show it.
import type { C2sServer } from '../c2s/c2s-server.ts';
import type { Host } from '../host/host.ts';
import type { Metrics } from '../metrics.ts';
import type { Transport } from '../net/transport.ts';
import type { Storage } from '../storage/storage.ts';
import type { KindCount, Traffic } from '../traffic.ts';

const KINDS = ['message', 'presence', 'iq'] as const;
const TRANSPORTS: readonly Transport['kind'][] = ['tcp', 'websocket', 'bosh'];

/** Shows what client streams do: connections, sessions, stanzas, queues. */
export function watchStreams(metrics: Metrics, c2s: C2sServer): void {
  for (const transport of TRANSPORTS) {
    metrics.gauge('xmpp_connections', 'Open client streams by transport.', { transport }, () =>
      count(c2s, (stream) => stream.transport.kind === transport),
    );
  }
  metrics.gauge('xmpp_streams_before_login', 'Open client streams that are not bound yet.', {}, () =>
    count(c2s, ({ session }) => session === undefined),
  );
  metrics.gauge('xmpp_queue_bytes', 'What waits for clients to read it, all together.', {}, () => measureQueues(c2s).sum);
  metrics.gauge('xmpp_queue_max_bytes', 'The longest queue of a client.', {}, () => measureQueues(c2s).longest);
}

/** Shows what passes. */
export function watchTraffic(metrics: Metrics, traffic: Traffic): void {
  watchKinds(metrics, traffic.received, 'in');
  watchKinds(metrics, traffic.delivered, 'out');
  metrics.count('xmpp_stanzas_refused_total', 'Stanzas that were answered with an error.', {}, () => traffic.refused);
  metrics.count('xmpp_faults_total', 'Stanzas and streams that failed by a fault of the server.', {}, () => traffic.faults);
  metrics.count('xmpp_stream_errors_total', 'Streams ended with an error.', {}, () => traffic.streamErrors);
}

/** Shows a host's sessions; returns what takes the figure away. */
export function watchHost(metrics: Metrics, c2s: C2sServer, host: Host): () => void {
  const help = 'Bound client sessions by host.';
  return metrics.gauge('xmpp_sessions', help, { host: host.domain }, () => count(c2s, ({ session }) => session?.host === host));
}

function watchKinds(metrics: Metrics, counts: KindCount, direction: 'in' | 'out'): void {
  for (const kind of KINDS) {
    metrics.count(
      'xmpp_stanzas_total',
      'Stanzas from (in) and to (out) clients, by kind.',
      { kind, direction },
      () => counts[kind],
    );
  }
}

type Stream = C2sServer['streams'] extends ReadonlySet<infer S> ? S : never;

function count({ streams }: C2sServer, isMeant: (stream: Stream) => boolean): number {
  let n = 0;
  for (const stream of streams) if (isMeant(stream)) n++;
  return n;
}

function measureQueues({ streams }: C2sServer): { readonly sum: number; readonly longest: number } {
  let sum = 0;
  let longest = 0;
  for (const { transport } of streams) {
    const { queued } = transport;
    sum += queued;
    if (queued > longest) longest = queued;
  }
  return { sum, longest };
}

/** Shows how the database is doing; returns what takes the figures away. Mean latencies are seconds divided by their counts. */
export function watchStorage(metrics: Metrics, { stats }: Storage): () => void {
  const figures = [
    metrics.count('storage_reads_total', 'Queries answered by the database.', {}, () => stats.reads),
    metrics.count('storage_read_seconds_total', 'Seconds that queries took, all together.', {}, () => stats.readSeconds),
    metrics.count('storage_writes_total', 'Writes that are durable.', {}, () => stats.writes),
    metrics.count('storage_write_failures_total', 'Writes that failed.', {}, () => stats.failures),
    metrics.count('storage_commits_total', 'Transactions committed; many writes share one.', {}, () => stats.commits),
    metrics.count('storage_commit_seconds_total', 'Seconds that commits took, all together.', {}, () => stats.commitSeconds),
    metrics.gauge('storage_queued_writes', 'Writes that wait for their commit.', {}, () => stats.queued),
    metrics.gauge('storage_queued_bytes', 'Size of the writes that wait for their commit.', {}, () => stats.queuedBytes),
  ];
  return () => {
    for (const takeAway of figures) takeAway();
  };
}
