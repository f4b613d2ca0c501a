/** What a member can say falsely, and what little comes of it. */
import assert from 'node:assert/strict';
import type { Attempt } from '../../../../src/spec/index.ts';
import {
  type AccusedEdge,
  attemptId,
  decodeAnswer,
  encodeAverage,
  type FindingBody,
  findingBytes,
  signAttempt,
  signMessage,
  type Words,
} from '../../../../src/wire/index.ts';
import { type AverageNode, type AverageOptions, AverageSwarm } from '../../../support/averageSwarm.ts';

async function begun(options: AverageOptions): Promise<AverageSwarm> {
  const swarm = new AverageSwarm(options);
  await swarm.clock.runUntil(() => false, 10);
  return swarm;
}

/** A finding of `node` about an attempt, signed by `signer`. */
function found(node: AverageNode, attempt: Attempt, news: Partial<FindingBody>, signer = node) {
  const empty = { failure: null, culprits: [], done: null };
  const body = { ...empty, epoch: attempt.epoch, attempt: attemptId(attempt), node: node.node, seq: 2 ** 50, ...news };
  return signMessage(findingBytes, body, signer.identity);
}

/** The liar tells everyone words of its own making, again and again. */
function tells(liar: AverageNode, wordsOf: (attempt: Attempt) => Partial<Words>): void {
  const { swarm } = liar;
  const again = (): void => {
    const attempt = swarm.node(0).exchanges.attempt;
    if (attempt !== undefined) {
      const words = { attempts: [], votes: [], findings: [], ...wordsOf(attempt) };
      const payload = encodeAverage({ kind: 'words', epoch: attempt.epoch, base: attempt.base, isFirst: false, words });
      for (const { identity } of swarm.nodes) if (identity !== liar.identity) liar.port.notify(identity.peerId, 'average', payload);
    }
    swarm.clock.after(20, again);
  };
  again();
}

const says = (liar: AverageNode, news: (attempt: Attempt) => Partial<FindingBody>): void =>
  tells(liar, (attempt) => ({ findings: [found(liar, attempt, news(attempt))] }));

/** One that settles late keeps the first attempt from ending at once. */
async function runWithOneLate(swarm: AverageSwarm, nodes: readonly AverageNode[]): Promise<boolean> {
  const late = swarm.nodes.at(-1) as AverageNode;
  for (const node of swarm.nodes) if (node !== late) node.begin();
  await swarm.clock.runUntil(() => false, swarm.clock.nowMs() + 300);
  late.begin();
  return swarm.run(nodes);
}

function checkOthers(swarm: AverageSwarm, liar: AverageNode): Attempt {
  assert.deepEqual(swarm.thrown, []);
  const others = swarm.nodes.filter((node) => node !== liar);
  const { averaged } = others[0] as AverageNode;
  assert.ok(averaged);
  for (const node of others) assert.deepEqual(node.averaged?.attempt, averaged.attempt);
  assert.deepEqual([...averaged.sum], swarm.sumOf(averaged.survivors));
  for (const { id } of averaged.attempt.dropped) assert.equal(id, liar.id, 'no honest member is dropped');
  return averaged.attempt;
}

describe('lies about a sum over streams', function () {
  this.timeout(20_000);

  it('accusing every link, attempt after attempt, ends the own part', async () => {
    const swarm = await begun({ nodes: 5 });
    const liar = swarm.node(1);
    says(liar, (attempt) => {
      const others = swarm.nodes.filter((node) => node !== liar).map(({ node }) => node);
      const accused = others.map((to): AccusedEdge => ({ phase: 'reduceScatter', from: liar.node, to, chunk: 0, reason: 'silent' }));
      return { failure: { accused: accused.slice(0, attempt.number + 1), unreachable: [] } };
    });
    swarm.begin();
    const others = swarm.nodes.filter((node) => node !== liar);
    assert.ok(await swarm.run(others));
    checkOthers(swarm, liar);
  });

  it('naming others as out of reach or as culprits drops nobody', async () => {
    for (const [i, news] of [
      (swarm: AverageSwarm) => ({
        failure: {
          accused: [],
          unreachable: swarm.nodes
            .slice(2)
            .map(({ node }) => node)
            .sort(),
        },
      }),
      (swarm: AverageSwarm) => ({
        culprits: swarm.nodes
          .slice(2)
          .map(({ node }) => node)
          .sort(),
      }),
    ].entries()) {
      const swarm = await begun({ nodes: 6, seed: i });
      const liar = swarm.node(1);
      says(liar, () => news(swarm));
      const others = swarm.nodes.filter((node) => node !== liar);
      assert.ok(await runWithOneLate(swarm, others));
      assert.deepEqual(checkOthers(swarm, liar).dropped, []);
    }
  });

  it('claiming to hold a sum that it does not give delays the others, no more', async () => {
    const swarm = await begun({ nodes: 5, minDeadlineMs: 1_000, maxDeadlineMs: 1_000 });
    const [liar, frozen] = [swarm.node(1), swarm.node(3)];
    says(liar, (attempt) => (attempt.number === 0 ? { done: attemptId(attempt) } : {}));
    frozen.stopped = true;
    swarm.begin();
    const others = swarm.nodes.filter((node) => node !== liar && node !== frozen);
    assert.ok(await swarm.run(others));
    for (const { averaged } of others) assert.deepEqual([...(averaged?.sum ?? [])], swarm.sumOf(averaged?.survivors ?? []));
  });

  it('accusing one link again and again costs that link, once', async () => {
    const swarm = await begun({ nodes: 6 });
    const [liar, other] = [swarm.node(1), swarm.node(0)];
    const accused: AccusedEdge[] = [{ phase: 'reduceScatter', from: liar.node, to: other.node, chunk: 0, reason: 'silent' }];
    says(liar, () => ({ failure: { accused, unreachable: [] } }));
    assert.ok(await runWithOneLate(swarm, swarm.nodes));
    const { number, broken, dropped } = checkOthers(swarm, liar);
    assert.deepEqual([number, dropped, broken], [1, [], [[liar.node, other.node].sort()]]);
  });

  it('speaking in the name of another is not heard', async () => {
    const swarm = await begun({ nodes: 5 });
    const liar = swarm.node(1);
    tells(liar, (attempt) => ({ findings: swarm.nodes.slice(2).map((node) => found(node, attempt, { culprits: [node.node] }, liar)) }));
    assert.ok(await runWithOneLate(swarm, swarm.nodes));
    const { number, dropped } = checkOthers(swarm, liar);
    assert.deepEqual([number, dropped], [0, []]);
  });

  it('voting in the name of others certifies nothing', async () => {
    const swarm = await begun({ nodes: 5 });
    const liar = swarm.node(1);
    tells(liar, (attempt) => {
      const wanted = { ...attempt, number: 1, roster: attempt.roster.slice(1) };
      const votes = swarm.nodes.map(({ node }) => ({ ...signAttempt(wanted, liar.identity), voter: node }));
      return { attempts: [wanted], votes };
    });
    assert.ok(await runWithOneLate(swarm, swarm.nodes));
    assert.equal(checkOthers(swarm, liar).number, 0);
  });

  it('a voter that signs two attempts of one number certifies neither of them', async () => {
    const swarm = await begun({ nodes: 4 });
    const liar = swarm.node(1);
    const signers = new Set<string>();
    liar.tamper = (message, to) => {
      if (message.kind !== 'words') return message;
      const [attempt] = message.words.attempts;
      const vote = message.words.votes.find(({ voter }) => voter === liar.node);
      if (attempt === undefined || vote === undefined || to === swarm.node(0).node) return message;
      const other = { ...attempt, roster: attempt.roster.slice(1) };
      signers.add(to);
      const votes = message.words.votes.map((one) => (one === vote ? signAttempt(other, liar.identity) : one));
      return { ...message, words: { ...message.words, attempts: [...message.words.attempts, other], votes } };
    };
    swarm.begin();
    assert.ok(await swarm.run(swarm.nodes));
    assert.ok(signers.size > 0);
    assert.deepEqual(checkOthers(swarm, liar).roster, swarm.roster);
  });

  it('strangers, numbers far ahead and words of other epochs are put off or refused', async () => {
    const swarm = await begun({ nodes: 3 });
    const [liar, honest] = [swarm.node(1), swarm.node(0)];
    swarm.begin();
    assert.ok(await swarm.run(swarm.nodes));
    const ask = async (payload: Uint8Array): Promise<string> => {
      const answer = liar.port.request(honest.identity.peerId, 'average', payload, { timeoutMs: 20_000, maxResponseBytes: 64 });
      const done = answer.then(
        (bytes) => decodeAnswer(bytes).kind,
        (error: Error) => error.message,
      );
      let kind: string | undefined;
      void done.then((one) => {
        kind = one;
      });
      await swarm.clock.runUntil(() => kind !== undefined, swarm.clock.nowMs() + 30_000);
      return kind ?? 'nothing';
    };
    const attempt = honest.averaged?.attempt as Attempt;
    const words = (epoch: number, base: string, number: number) => {
      const far = { ...attempt, number };
      const votes = [signAttempt(far, liar.identity)];
      return encodeAverage({ kind: 'words', epoch, base, isFirst: false, words: { attempts: [far], votes, findings: [] } });
    };
    const { epoch, base } = attempt;
    assert.equal(await ask(words(epoch - 1, attemptId(attempt), 0)), 'over');
    assert.equal(await ask(words(epoch + 1, attemptId(attempt), 0)), 'later');
    assert.equal(await ask(words(epoch, base, 900)), 'taken');
    assert.equal(honest.exchanges.attempt?.number, 0);
    const unknown = encodeAverage({ kind: 'open', attempt: base, what: 'sum', at: [0, 0] });
    assert.equal(await ask(unknown), 'later');
    const past = encodeAverage({ kind: 'open', attempt: attemptId(attempt), what: 'sum', at: [1, 2 ** 30] });
    assert.equal(await ask(past), 'later');
    assert.match(await ask(Uint8Array.of(1, 2, 3)), /refused/);
  });
});
