import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { SITE_KEYS_AT_MOST } from '../../schema/api-access.ts';
import { get, post } from '../lib/api.ts';
import { type Asked, useQuery } from '../lib/query.ts';
import { Link } from '../lib/router.tsx';
import type { Me } from '../lib/session.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { Confirm } from '../ui/confirm.tsx';
import { CheckField, SelectField } from '../ui/field.tsx';
import { Page } from '../ui/page.tsx';
import { Loaded, Notice } from '../ui/states.tsx';
import { Table } from '../ui/table.tsx';
import { changeKeys, SITE_KEYS, type SiteKeysAnswer } from './change-key.ts';
import { delegationsOf, type Given } from './delegations.tsx';
import { KEYS_TRIED, signInHere } from './enter.ts';
import { keepNumber } from './keep-number.ts';
import { numberAt } from './key-number.ts';
import type { Sealed } from './seal.ts';
import { SessionGate } from './session.tsx';
import { entryAt } from './site.ts';

const REVOKE = '/api/wallet/runtimes/kill';

export interface KeysPageProps {
  readonly root: Uint8Array;
  readonly sealed: Sealed;
}

export function KeysPage({ root, sealed }: KeysPageProps) {
  return (
    <Page
      title="Keys"
      of="Wallet"
      about="What this site knows you by. A key that may have been seen by somebody else is replaced by the wallet's next one; who you are stays the same."
    >
      <SessionGate root={root} sealed={sealed}>
        {(me) => <Keys root={root} me={me} />}
      </SessionGate>
    </Page>
  );
}

function Keys({ root, me }: { readonly root: Uint8Array; readonly me: Me }) {
  const host = location.hostname;
  const [number, setNumber] = useState(numberAt(host));
  const here = useMemo(() => entryAt(root, host, number), [root, number]);
  const asked = useQuery('keys', (signal) => get<SiteKeysAnswer>(SITE_KEYS, {}, signal));
  const mayLook = me.may('runtimes.read');
  const given = useQuery(mayLook ? here.subject : null, (signal) => delegationsOf(here.subject, signal));
  return (
    <Loaded asked={asked}>
      {({ subject, keys }) =>
        subject !== here.subject ? (
          <Notice tone="warn">
            <span>Somebody else than this wallet is signed in here: sign out in Agent Ops first.</span>
          </Notice>
        ) : (
          <div class="stack">
            <Known root={root} number={number} keys={keys} owner={isOwner(me)} onChanged={asked.reload} />
            {refusalOf(me, keys, here.key) ?? (
              <Replace
                root={root}
                me={me}
                number={number}
                oldKey={here.key}
                given={given}
                onUsed={setNumber}
                onChanged={asked.reload}
              />
            )}
          </div>
        )
      }
    </Loaded>
  );
}

/** Why nothing is replaced here; null: it can be. */
function refusalOf(me: Me, keys: readonly string[], used: string): ComponentChildren {
  if (isOwner(me))
    return (
      <Notice>
        <span>
          This wallet is the deployment's owner. Its key is the one that <code>operator-root.key</code> gives,
          with which the deployment binds runtimes, and is not replaced here. Give yourself a wallet of your
          own, with the role owner, and sign in by that.
        </span>
      </Notice>
    );
  if (keys.includes(used)) return null;
  return (
    <Notice tone="warn">
      <span>
        This site does not know the key that this wallet uses: sign out in Agent Ops, then sign in with the
        wallet.
      </span>
    </Notice>
  );
}

function isOwner({ operator }: Me): boolean {
  return operator.id === 'owner';
}

interface KnownProps {
  readonly root: Uint8Array;
  readonly number: number;
  readonly keys: readonly string[];
  readonly owner: boolean;
  readonly onChanged: () => void;
}

/** The site's list. Keys beside the one in use can be ended. */
function Known({ root, number, keys, owner, onChanged }: KnownProps) {
  const [ending, setEnding] = useState<string | null>(null);
  const host = location.hostname;
  const numbers = useMemo(() => {
    const most = Math.max(number, SITE_KEYS_AT_MOST) + 1;
    return new Map(Array.from({ length: most }, (_, n) => [entryAt(root, host, n).key, n]));
  }, [root, number]);
  const used = entryAt(root, host, number).key;
  return (
    <Card title={`Keys that ${host} knows`} flush>
      <Table
        label="Keys"
        rows={keys}
        keyOf={(key) => key}
        columns={[
          { name: 'Key', cell: (key) => <code class="small break">{key}</code> },
          {
            name: 'Which',
            cell: (key) =>
              numbers.has(key) ? `the wallet's number ${numbers.get(key)}` : 'not of this wallet',
          },
          {
            name: 'State',
            cell: (key) => (key === used ? <Badge tone="allow">in use</Badge> : 'signs in too'),
          },
          {
            name: '',
            right: true,
            cell: (key) =>
              key === used || owner || !keys.includes(used) ? null : (
                <Button kind="danger" onClick={() => setEnding(key)}>
                  End
                </Button>
              ),
          },
        ]}
      />
      {ending === null ? null : (
        <Confirm
          title="End this key?"
          act="End it"
          done="The key is ended"
          onClose={() => {
            setEnding(null);
            onChanged();
          }}
          run={() => changeKeys(root, { from: number, to: number, ends: [ending] })}
        >
          <p>
            <code class="small break">{ending}</code> signs in no more, and sessions that it opened end.
            Delegations go on: end them under <Link to="/delegations">Delegations</Link>.
          </p>
        </Confirm>
      )}
    </Card>
  );
}

interface ReplaceProps {
  readonly root: Uint8Array;
  readonly me: Me;
  readonly number: number;
  readonly oldKey: string;
  readonly given: Asked<readonly Given[]>;
  readonly onUsed: (number: number) => void;
  readonly onChanged: () => void;
}

type Old = 'ends' | 'stays';

function Replace({ root, me, number, oldKey, given, onUsed, onChanged }: ReplaceProps) {
  const [old, setOld] = useState<Old>('ends');
  const [revoking, setRevoking] = useState(false);
  const [asking, setAsking] = useState(false);
  const next = number + 1;
  const mayRevoke = old === 'ends' && me.may('runtimes.stop');
  const revokes = mayRevoke && revoking;
  const replace = async () => {
    // First, while there is a session: it changes nothing about who may sign in.
    if (revokes) await post(REVOKE, { key: oldKey, reason: 'the key was replaced, in the wallet' });
    await changeKeys(root, { from: number, to: next, ends: old === 'ends' ? [oldKey] : [] });
    await keepNumber(location.hostname, next);
    // The session was the old key's.
    if (old === 'ends') await signInHere(root);
    onUsed(next);
  };
  return (
    <Card title="Replace the key">
      <div class="stack">
        <SelectField
          label={`Key number ${number}, which is in use now`}
          value={old}
          options={[
            ['ends', 'ends at once'],
            ['stays', 'stays good beside the new one, until you end it here'],
          ]}
          onChange={setOld}
        />
        <ul class="stack tight" aria-label="What happens">
          <li>
            Key number {next} of this wallet signs in from then on. Your subject, role and permissions stay
            the same.
          </li>
          <li>
            {old === 'ends'
              ? 'Sessions that the old key opened end, here and elsewhere; this browser signs in again by itself.'
              : 'Whoever has the old key can still sign in as you, until you end it.'}
          </li>
          <li>API keys and command lines that you approved go on: end them under API keys.</li>
          <li>{delegationsText(given)}</li>
          <li>
            Chains that you signed with the old key yourself, which no site lists, stay good until they end or
            the key is revoked.
          </li>
          <li>
            Another browser with this wallet finds the new key once the old one is refused.
            {next < KEYS_TRIED
              ? ''
              : ` A wallet that is restored by its words looks for its first ${KEYS_TRIED} keys only: note that this site knows number ${next}.`}
          </li>
        </ul>
        {mayRevoke ? (
          <CheckField
            label="Also revoke the old key: whatever it signed ends at once, for ever"
            checked={revoking}
            onChange={setRevoking}
          />
        ) : null}
        <div class="row">
          <Button kind="primary" onClick={() => setAsking(true)}>
            Use key number {next}
          </Button>
        </div>
      </div>
      {asking ? (
        <Confirm
          title={`Replace key number ${number}?`}
          act="Replace it"
          done={`Key number ${next} is in use`}
          onClose={() => {
            setAsking(false);
            onChanged();
          }}
          run={replace}
        >
          <p>
            {old === 'ends'
              ? `Key number ${number} signs in no more.`
              : `Key number ${number} stays good until you end it.`}{' '}
            {delegationsText(given)}
            {revokes ? ' Whatever the old key signed is revoked, for ever.' : ''}
          </p>
        </Confirm>
      ) : null}
    </Card>
  );
}

function delegationsText({ data, error }: Asked<readonly Given[]>): string {
  if (data === null)
    return error === null
      ? 'Delegations at this site go on as they are; your role does not show which there are.'
      : 'Delegations at this site go on as they are; which there are could not be asked.';
  const living = data.filter(({ revoked }) => !revoked).length;
  if (living === 0) return 'No delegation that this site issued goes back to you.';
  const them = living === 1 ? 'The delegation' : `The ${living} delegations`;
  return `${them} at this site in your name: not touched, the site's own key signed ${living === 1 ? 'it' : 'them'}. Revoke under Delegations.`;
}
