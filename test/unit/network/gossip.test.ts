import assert from 'node:assert/strict';
import { LibpGossip } from '../../../src/network/gossip.ts';
import { hostKey } from '../../../src/network/identity.ts';
import { GOSSIP } from '../../../src/network/limits.ts';
import { Penalties } from '../../../src/network/penalties.ts';
import { ACCEPT, GOSSIP_MAX_BYTES, ignore, type Verdict } from '../../../src/spec/index.ts';
import { recordingJournal } from '../../support/networkHosts.ts';

type Pubsub = ConstructorParameters<typeof LibpGossip>[0]['pubsub'];
type Validator = NonNullable<ReturnType<Pubsub['topicValidators']['get']>>;

const isTopicAllowed = (topic: string): boolean => {
  if (topic === '/unreadable') throw new Error('a topic that the rule cannot read');
  return topic.startsWith('/ours/');
};

/** The port over a gossipsub that only remembers; `judge` is what gossipsub would do with an incoming message. */
async function setUp(verdict: () => Verdict = () => ACCEPT) {
  const { peerId } = await hostKey(new Uint8Array(32));
  const calls: string[] = [];
  const pubsub = {
    topicValidators: new Map(),
    subscribe: (topic: string) => void calls.push(`subscribe ${topic}`),
    unsubscribe: (topic: string) => void calls.push(`unsubscribe ${topic}`),
    publish: async () => ({ recipients: [] }),
  } as unknown as Pubsub;
  const penalties = new Penalties();
  const journal = recordingJournal();
  const gossip = new LibpGossip({ pubsub, journal, penalties, isTopicAllowed });
  const handled: string[] = [];
  gossip.onMessage(async (topic) => {
    handled.push(topic);
    return verdict();
  });
  const judge = (topic: string, data: Uint8Array) =>
    (pubsub.topicValidators.get(topic) as Validator)({ toString: () => peerId } as Parameters<Validator>[0], {
      type: 'unsigned',
      topic,
      data,
    });
  return { gossip, judge, calls, handled, penalty: () => penalties.of(peerId), journal };
}

const small = new Uint8Array(1);

describe('gossip rules', () => {
  it('rejects unknown topics and oversize before the handler, and remembers who', async () => {
    const { gossip, judge, handled, penalty } = await setUp();
    gossip.subscribe('/ours/1');
    assert.equal(await judge('/theirs/1', small), 'reject');
    assert.equal(await judge('/ours/1', new Uint8Array(GOSSIP_MAX_BYTES + 1)), 'reject');
    assert.equal(await judge('/unreadable', small), 'reject');
    assert.ok(penalty() > 2.9 * GOSSIP.rejectPenalty);
    assert.equal(await judge('/ours/1', new Uint8Array(GOSSIP_MAX_BYTES)), 'accept');
    assert.deepEqual(handled, ['/ours/1']);
  });

  it('ignores, without blame, a topic of the swarm that it is not on', async () => {
    const { gossip, judge, handled, penalty } = await setUp();
    assert.equal(await judge('/ours/1', small), 'ignore');
    gossip.subscribe('/ours/1');
    gossip.unsubscribe('/ours/1');
    assert.equal(await judge('/ours/1', small), 'ignore');
    assert.deepEqual([handled, penalty()], [[], 0]);
  });

  it("hands on the verdict; a handler that fails is not the sender's fault", async () => {
    let verdict: () => Verdict = () => ignore('DUPLICATE', 'seen');
    const { gossip, judge, penalty, journal } = await setUp(() => verdict());
    gossip.subscribe('/ours/1');
    assert.equal(await judge('/ours/1', small), 'ignore');
    verdict = () => {
      throw new Error('a defect');
    };
    assert.equal(await judge('/ours/1', small), 'ignore');
    assert.equal(penalty(), 0);
    assert.equal(journal.lines.filter((line) => line.level === 'error').length, 1);
  });

  it('hands nothing on once it has stopped', async () => {
    const { gossip, judge, handled, penalty } = await setUp();
    gossip.subscribe('/ours/1');
    gossip.start();
    assert.equal(await judge('/ours/1', small), 'accept');
    gossip.stop();
    assert.equal(await judge('/ours/1', small), 'ignore');
    assert.deepEqual([handled.length, penalty()], [1, 0]);
  });

  it('takes no more from one neighbour in a second than the bound', async () => {
    const { gossip, judge, handled, penalty } = await setUp();
    gossip.subscribe('/ours/1');
    const burst = GOSSIP.messagesPerSecond + 500;
    const results = await Promise.all(Array.from({ length: burst }, () => judge('/ours/1', small)));
    assert.ok(results.filter((one) => one === 'ignore').length >= 400);
    assert.ok(handled.length <= GOSSIP.messagesPerSecond + 100);
    assert.ok(penalty() > 300);
  });

  it('joins what was asked for before the start, once', async () => {
    const { gossip, calls } = await setUp();
    gossip.subscribe('/ours/1');
    gossip.subscribe('/ours/2');
    gossip.unsubscribe('/ours/2');
    assert.deepEqual(calls, []);
    gossip.start();
    gossip.subscribe('/ours/1');
    gossip.unsubscribe('/ours/3');
    gossip.unsubscribe('/ours/1');
    gossip.stop();
    gossip.subscribe('/ours/4');
    assert.deepEqual(calls, ['subscribe /ours/1', 'unsubscribe /ours/1']);
    assert.deepEqual(await gossip.publish('/ours/1', small), { recipients: 0 });
  });
});
