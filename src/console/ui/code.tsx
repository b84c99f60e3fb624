import { useEffect, useState } from 'preact/hooks';
import { Button } from './button.tsx';

const COPIED_MS = 1600;

export interface CopyProps {
  readonly text: () => string;
  readonly label?: string;
  /** Words beside the picture. */
  readonly children?: string;
}

export function CopyButton({ text, label = 'Copy', children }: CopyProps) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    setCopied(true);
  };
  return (
    <>
      <Button
        kind={children === undefined ? 'quiet' : 'plain'}
        icon={copied ? 'check' : 'copy'}
        {...(children === undefined ? { label: copied ? 'Copied' : label } : {})}
        onClick={() => void copy()}
      >
        {children === undefined ? undefined : copied ? 'Copied' : children}
      </Button>
      <span class="sr" aria-live="polite">
        {copied ? 'Copied' : ''}
      </span>
    </>
  );
}

export interface CodeProps {
  readonly text: string;
  readonly label: string;
  readonly wrap?: boolean;
}

/** A text to read and to copy. */
export function Code({ text, label, wrap = false }: CodeProps) {
  return (
    <div class={`code ${wrap ? 'wrap' : ''}`}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section class="pane" tabIndex={0} aria-label={label}>
        <pre>{text}</pre>
      </section>
      <CopyButton text={() => text} label={`Copy ${label}`} />
    </div>
  );
}
