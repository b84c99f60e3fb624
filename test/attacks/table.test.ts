import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isReasonCode, REASONS } from '../../src/reason.ts';
import { proxiedStatus } from '../support/forward-auth.ts';
import { at, type WireRequest } from '../support/kit.ts';
import { vectors } from '../support/running.ts';
import { attacks } from './cases.ts';
import { NAMED } from './named.ts';
import { plays, races } from './plays.ts';
import { type Line, writeTable } from './table.ts';
import { type Outcome, type Stage, TRANSPORTS } from './transports.ts';

/** What is made for the API's own place; each stage makes it anew for its own. */
const listed = attacks();
const lines: Line[] = [];

function named<T extends { readonly name: string }>(items: readonly T[], name: string): T {
  const found = items.find((item) => item.name === name);
  if (found === undefined) throw new Error(`no attack named ${name}`);
  return found;
}

function textOf(file: string): string {
  return readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
}

/**
 * A denial has its reason's status, wherever it is given, but over forward-auth, where it is 401 or 403, also when Lemma
 * has no reason; and nothing of it reaches an upstream.
 */
function checkOutcome({ verdict, http, reached }: Outcome, forwardAuth = false): void {
  if (verdict !== 'allow') ok(reached !== true, 'the upstream heard of what was not allowed');
  else equal(http, 200);
  if (isReasonCode(verdict))
    equal(http, forwardAuth ? proxiedStatus(REASONS[verdict].http) : REASONS[verdict].http);
  else if (forwardAuth && reached === null && http !== null)
    ok([200, 401, 403].includes(http), `status ${http}`);
}

for (const transport of TRANSPORTS) {
  describe(`attacks over ${transport.name}`, () => {
    let stage: Stage;
    let made: { attacks: typeof listed; plays: ReturnType<typeof plays>; races: ReturnType<typeof races> };

    before(async function () {
      stage = await transport.open(this);
      const make = () => ({ attacks: attacks(), plays: plays(), races: races() });
      made = stage.place === undefined ? make() : at(stage.place, make);
    });
    after(() => stage?.close());

    const used = new Set<string>();

    function attack(name: string, expect: string, request: () => WireRequest): void {
      const difference = transport.differences[name];
      if (difference !== undefined) used.add(name);
      const wanted = difference?.outcome ?? expect;
      it(`${name}: ${wanted}`, async () => {
        const outcome = await stage.ask(request());
        lines.push({
          attack: name,
          transport: transport.name,
          expect,
          wanted,
          got: outcome.verdict,
          why: difference?.why ?? '',
        });
        equal(outcome.verdict, wanted);
        checkOutcome(outcome, transport.forwardAuth);
      });
    }

    for (const { name, expect } of listed) attack(name, expect, () => named(made.attacks, name).request);

    if (transport.vectors === null) {
      for (const { name, expect, request } of vectors.cases) attack(`vector ${name}`, expect, () => request);
    } else {
      const [outcome, why] = ['not sent', transport.vectors];
      for (const { name, expect } of vectors.cases)
        lines.push({
          attack: `vector ${name}`,
          transport: transport.name,
          expect,
          wanted: outcome,
          got: outcome,
          why,
        });
    }

    for (const { name, expect } of plays()) {
      const difference = transport.differences[name];
      if (difference !== undefined) {
        used.add(name);
        const { outcome, why } = difference;
        lines.push({ attack: name, transport: transport.name, expect, wanted: outcome, got: outcome, why });
        continue;
      }
      it(`${name}: ${expect}`, async () => {
        const { first, verb, last } = named(made.plays, name);
        for (const request of first) equal((await stage.ask(request)).verdict, 'allow');
        if (verb !== undefined) equal((await stage.control(verb.path, verb.body)).status, 200);
        const outcome = await stage.ask(last);
        lines.push({
          attack: name,
          transport: transport.name,
          expect,
          wanted: expect,
          got: outcome.verdict,
          why: '',
        });
        equal(outcome.verdict, expect);
        checkOutcome(outcome, transport.forwardAuth);
      });
    }

    for (const { name } of races()) {
      it(`${name}: as many pass as may`, async () => {
        const { atOnce, pass, expect } = named(made.races, name);
        const outcomes = await Promise.all(atOnce.map((request) => stage.ask(request)));
        for (const outcome of outcomes) checkOutcome(outcome, transport.forwardAuth);
        const verdicts = outcomes.map(({ verdict }) => verdict).sort();
        const wanted = atOnce.map((_, i) => (i < pass ? 'allow' : expect)).sort();
        lines.push({
          attack: name,
          transport: transport.name,
          expect,
          wanted: `${pass} allow, then ${expect}`,
          got: `${verdicts.filter((verdict) => verdict === 'allow').length} allow, then ${[...new Set(verdicts)].filter((verdict) => verdict !== 'allow').join(', ')}`,
          why: '',
        });
        deepEqual(verdicts, wanted);
      });
    }

    it('lists no difference of an attack that there is none of', () => {
      deepEqual(
        Object.keys(transport.differences).filter((name) => !used.has(name)),
        [],
      );
    });
  });
}

describe('the table of attacks', () => {
  it('has a name of its own for each', () => {
    const names = [...listed, ...plays(), ...races()].map(({ name }) => name);
    deepEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      [],
    );
  });

  for (const [section, named] of Object.entries(NAMED)) {
    it(`finds every attack of "${section}" where it is said to be tried`, () => {
      const names = new Set([...listed, ...plays(), ...races()].map(({ name }) => name));
      const lost = named.flatMap(([attack, ...places]) =>
        places.flatMap((place) =>
          place.kind === 'case'
            ? place.names.filter((name) => !names.has(name))
            : place.kind === 'test' && !textOf(place.file).includes(place.title)
              ? [`${attack}: ${place.file} has no ${place.title}`]
              : [],
        ),
      );
      deepEqual(lost, []);
    });
  }

  it('says why, wherever a transport does something else than deny with the code', () => {
    deepEqual(
      lines.filter(
        ({ expect, wanted, why }) => expect !== wanted && why === '' && !wanted.includes(' allow, then '),
      ),
      [],
    );
  });

  after(() =>
    console.log(
      writeTable(
        lines,
        TRANSPORTS.map(({ name }) => name),
      ),
    ),
  );
});
