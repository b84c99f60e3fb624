import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';

export interface DialogProps {
  readonly title: string;
  readonly wide?: boolean;
  readonly onClose: () => void;
  /** Buttons, the one that is meant last. */
  readonly foot?: ComponentChildren;
  /** A form: Enter does it. */
  readonly onSubmit?: () => void;
  readonly children: ComponentChildren;
}

/** The browser's own modal dialog: it keeps the focus, closes by Escape and gives the focus back. */
export function Dialog({ title, wide = false, onClose, foot, onSubmit, children }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before anybody sees it: a key that is pressed meanwhile must not be lost.
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (dialog === null) return;
    dialog.showModal();
    dialog.querySelector<HTMLElement>('[data-autofocus]')?.focus();
    return () => dialog.close();
  }, []);
  const inner = (
    <>
      <div class="head">
        <h2 id={id}>{title}</h2>
      </div>
      <div class="body stack">{children}</div>
      {foot === undefined ? null : <div class="foot">{foot}</div>}
    </>
  );
  return (
    <dialog
      ref={ref}
      class={`dialog ${wide ? 'wide' : ''}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      {onSubmit === undefined ? (
        inner
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            onSubmit();
          }}
        >
          {inner}
        </form>
      )}
    </dialog>
  );
}
