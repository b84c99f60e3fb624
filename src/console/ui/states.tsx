import type { ComponentChildren } from 'preact';
import type { ApiError } from '../lib/api.ts';
import type { Asked } from '../lib/query.ts';
import { Button } from './button.tsx';
import { Icon, type IconName } from './icons.tsx';

export interface EmptyProps {
  readonly title: string;
  readonly icon?: IconName;
  readonly children?: ComponentChildren;
}

export function Empty({ title, icon = 'search', children }: EmptyProps) {
  return (
    <div class="state">
      <Icon name={icon} size={36} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Loading({ lines = 5 }: { readonly lines?: number }) {
  return (
    <div class="skeleton" role="status">
      <span class="sr">Loading</span>
      {Array.from({ length: lines }, (_, n) => (
        <i key={n} style={{ width: `${94 - ((n * 17) % 38)}%` }} />
      ))}
    </div>
  );
}

export function Failed({ error, retry }: { readonly error: ApiError; readonly retry?: () => void }) {
  const offline = error.code === 'offline';
  return (
    <div class="state" role="alert">
      <Icon name={offline ? 'offline' : 'alerts'} size={36} />
      <h2>{offline ? 'The control plane does not answer' : titleOf(error)}</h2>
      <p>
        {offline
          ? 'What is enforced stays enforced: decision nodes go on by what they know. This page asks again when you do.'
          : error.message}
      </p>
      {error.requestId === null ? null : <code class="small">{error.requestId}</code>}
      {retry === undefined ? null : (
        <Button icon="reload" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}

function titleOf({ code, status }: ApiError): string {
  if (code === 'not_found') return 'There is no such thing here';
  if (code === 'forbidden') return 'Your role does not show this';
  if (code === 'rate_limited') return 'Too many requests';
  return status >= 500 ? 'The server could not answer' : 'This was refused';
}

export interface LoadedProps<T> {
  readonly asked: Asked<T>;
  readonly lines?: number;
  readonly children: (data: T) => ComponentChildren;
}

/** A view in each of its states; an answer that was there stays, under a notice, when a later one fails. */
export function Loaded<T>({ asked, lines, children }: LoadedProps<T>) {
  const { data, error, reload } = asked;
  if (data === null)
    return error === null ? (
      <Loading {...(lines === undefined ? {} : { lines })} />
    ) : (
      <Failed error={error} retry={reload} />
    );
  return (
    <>
      {error === null ? null : <Stale error={error} retry={reload} />}
      {children(data)}
    </>
  );
}

function Stale({ error, retry }: { readonly error: ApiError; readonly retry: () => void }) {
  return (
    <Notice tone="warn">
      <div class="row between">
        <span>This is what was known before. {error.message}</span>
        <Button icon="reload" onClick={retry}>
          Try again
        </Button>
      </div>
    </Notice>
  );
}

export interface NoticeProps {
  readonly tone?: 'plain' | 'warn' | 'deny' | 'allow';
  readonly children: ComponentChildren;
}

export function Notice({ tone = 'plain', children }: NoticeProps) {
  return (
    <div class={`notice ${tone}`} role={tone === 'deny' ? 'alert' : undefined}>
      <Icon name={tone === 'allow' ? 'check' : 'alerts'} />
      <div class="stack tight">{children}</div>
    </div>
  );
}

/** Why something that was asked for was not done. */
export function Problem({ error }: { readonly error: ApiError | null }) {
  if (error === null) return null;
  return (
    <Notice tone="deny">
      <span>
        {error.message} <code>{error.code}</code>
      </span>
    </Notice>
  );
}
