import assert from 'node:assert/strict';
import { multiaddrConnectionPair } from '@libp2p/utils';
import { chooseTransports, safeYamux } from '../../../src/network/transports.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { recordingJournal } from '../../support/networkHosts.ts';

const TCP = '/ip4/0.0.0.0/tcp/7740';
const QUIC = '/ip4/0.0.0.0/udp/7740/quic-v1';
const missing = (): never => {
  throw new Error('no such module');
};

describe('transports', () => {
  it('are both there where QUIC loads', async () => {
    const journal = recordingJournal();
    const { transports, listen } = await chooseTransports([TCP, QUIC], journal);
    assert.deepEqual([transports.length, listen, journal.lines], [2, [TCP, QUIC], []]);
  });

  it('are TCP alone where QUIC does not load, and the journal says so', async () => {
    const journal = recordingJournal();
    const { transports, listen } = await chooseTransports([TCP, QUIC], journal, async () => missing());
    assert.deepEqual([transports.length, listen], [1, [TCP]]);
    assert.equal(journal.lines[0]?.level, 'warn');
    assert.equal(journal.lines[0]?.facts.addresses, QUIC);
  });

  it('refuse to start with no address left', async () => {
    const chosen = chooseTransports([QUIC], recordingJournal(), async () => missing());
    await assert.rejects(
      chosen,
      (error: unknown) => error instanceof StarlingError && error.code === 'BAD_CONFIG' && error.facts.fix !== undefined,
    );
  });
});

describe('the muxer', () => {
  it('survives a connection that closes while a stream opens on it', async () => {
    const [ours] = multiaddrConnectionPair();
    const muxer = safeYamux({} as Parameters<typeof safeYamux>[0]).createStreamMuxer(ours);
    const opening = muxer.createStream();
    const closing = ours.close();
    // yamux writes in a microtask: what it throws there fails this test as an uncaught exception
    await opening.catch(() => undefined);
    await closing;
  });
});
