import { useState } from 'preact/hooks';
import type { Permission } from '../../schema/access.ts';
import { get, post } from '../lib/api.ts';
import { useDoing, useQuery } from '../lib/query.ts';
import { navigate, usePlace } from '../lib/router.tsx';
import type { Me } from '../lib/session.ts';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Facts } from '../ui/facts.tsx';
import { CheckField, SelectField, TextField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Loaded, Notice, Problem } from '../ui/states.tsx';
import { Time } from '../ui/time.tsx';
import type { Sealed } from './seal.ts';
import { SessionGate } from './session.tsx';

const DEVICE = '/api/auth/device';
const HOURS = [1, 4, 12, 24, 72, 168];

interface DeviceAnswer {
  readonly client: { readonly name: string; readonly address: string };
  readonly asked: readonly Permission[];
  readonly lacking: readonly Permission[];
  readonly hours: { readonly most: number; readonly usual: number };
  readonly expires_at: string;
}

export interface DevicePageProps {
  readonly root: Uint8Array | null;
  readonly sealed: Sealed | null;
}

/** Where a command line that wants a session sends its person (RFC 8628, section 3.3). */
export function DevicePage({ root, sealed }: DevicePageProps) {
  const { params } = usePlace();
  const code = codeOf(params.get('user_code') ?? '');
  return (
    <Page
      title="Approve a command line"
      of="Wallet"
      about="A program that started “lemma session start” asks to act for you, with some of your permissions, for some hours."
    >
      <SessionGate root={root} sealed={sealed}>
        {(me) => (
          <div class="stack narrow">
            {code === '' ? <AskCode /> : <Request key={code} code={code} me={me} />}
          </div>
        )}
      </SessionGate>
    </Page>
  );
}

function AskCode() {
  const [typed, setTyped] = useState('');
  return (
    <Card>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          navigate(`/device?${new URLSearchParams({ user_code: codeOf(typed) })}`);
        }}
      >
        <TextField
          label="The code that the command line shows"
          placeholder="XXXX-XXXX"
          mono
          autofocus
          value={typed}
          onInput={setTyped}
        />
        <div class="row">
          <Button kind="primary" type="submit" disabled={codeOf(typed).length !== 9}>
            Look it up
          </Button>
        </div>
      </form>
    </Card>
  );
}

function Request({ code, me }: { readonly code: string; readonly me: Me }) {
  const [done, setDone] = useState<'approved' | 'denied' | null>(null);
  const asked = useQuery(code, (signal) => get<DeviceAnswer>(DEVICE, { user_code: code }, signal));
  const again = <Button onClick={() => navigate('/device')}>Another code</Button>;
  if (done !== null)
    return (
      <Notice tone={done === 'approved' ? 'allow' : 'plain'}>
        <span>
          {done === 'approved'
            ? 'Approved. The command line goes on by itself. Its token is listed under API keys, where it can be ended.'
            : 'Denied. The command line was told no, and got nothing.'}
        </span>
        <div class="row">{again}</div>
      </Notice>
    );
  return (
    <>
      <Loaded asked={asked}>
        {(device) => <Decide code={code} device={device} me={me} onDone={setDone} />}
      </Loaded>
      {asked.error === null ? null : <div class="row">{again}</div>}
    </>
  );
}

interface DecideProps {
  readonly code: string;
  readonly device: DeviceAnswer;
  readonly me: Me;
  readonly onDone: (done: 'approved' | 'denied') => void;
}

function Decide({ code, device, me, onDone }: DecideProps) {
  const { client, asked, lacking, hours, expires_at } = device;
  const { busy, error, run } = useDoing();
  const mine = asked.filter((one) => !lacking.includes(one));
  const [chosen, setChosen] = useState<ReadonlySet<Permission>>(new Set(mine));
  const [life, setLife] = useState(String(hours.usual));
  const lives = [...new Set([...HOURS, hours.usual])]
    .filter((one) => one <= hours.most)
    .sort((a, b) => a - b);
  const decide = (act: 'approve' | 'deny') =>
    void run(async () => {
      const terms = act === 'deny' ? {} : { permissions: [...chosen], hours: Number(life) };
      await post(`${DEVICE}/${act}`, { user_code: code, ...terms });
      onDone(act === 'approve' ? 'approved' : 'denied');
    });
  const toggle = (one: Permission, on: boolean) => {
    const next = new Set(chosen);
    if (on) next.add(one);
    else next.delete(one);
    setChosen(next);
  };
  return (
    <Card title="Does your command line show this code?">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          decide('approve');
        }}
      >
        <p class="user-code">
          <code>{code}</code>
        </p>
        <Notice tone="warn">
          <span>
            Say yes only if you started it yourself, just now. Nobody at Lemma, and no message, ever asks you
            to approve a code.
          </span>
        </Notice>
        <Facts
          rows={[
            ['It says it is', <strong key="name">{client.name}</strong>],
            ['Asked from', <code key="address">{client.address}</code>],
            [
              'Acts for',
              <span key="me">
                {me.operator.id} of {me.operator.org} / {me.operator.env}
              </span>,
            ],
            ['Code ends', <Time key="ends" at={expires_at} form="relative" />],
          ]}
        />
        <fieldset class="checks">
          <legend class="label">What it may do</legend>
          {mine.map((one) => (
            <CheckField
              key={one}
              label={<code>{one}</code>}
              checked={chosen.has(one)}
              onChange={(on) => toggle(one, on)}
            />
          ))}
          {lacking.length === 0 ? null : (
            <p class="soft small">
              It also asked for what you have not, and cannot give:{' '}
              {lacking.map((one) => (
                <span key={one} class="chip gone">
                  {one}
                </span>
              ))}
            </p>
          )}
        </fieldset>
        <SelectField
          label="For how long"
          value={life}
          options={lives.map((one) => [String(one), lifeText(one)] as const)}
          onChange={setLife}
        />
        <Problem error={error} />
        <div class="row">
          <Button kind="danger" disabled={busy} onClick={() => decide('deny')}>
            Deny
          </Button>
          <Button kind="primary" type="submit" disabled={busy || chosen.size === 0}>
            Approve
          </Button>
        </div>
      </form>
    </Card>
  );
}

/** `bcdf ghjk` -> `BCDF-GHJK`. Only its letters; what is longer stays so, to be refused. */
function codeOf(typed: string): string {
  const letters = typed.toUpperCase().replaceAll(/[^A-Z0-9]/g, '');
  return letters === '' ? '' : `${letters.slice(0, 4)}-${letters.slice(4)}`;
}

function lifeText(hours: number): string {
  if (hours % 24 === 0 && hours > 24) return `${hours / 24} days`;
  return hours === 1 ? '1 hour' : `${hours} hours`;
}
