import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icons.tsx';

export interface ButtonProps {
  readonly kind?: 'plain' | 'primary' | 'danger' | 'danger solid' | 'quiet';
  readonly big?: boolean;
  readonly icon?: IconName;
  readonly type?: 'button' | 'submit';
  readonly disabled?: boolean;
  readonly pressed?: boolean;
  readonly autofocus?: boolean;
  /** What it does, where no words stand in it. */
  readonly label?: string;
  readonly onClick?: () => void;
  readonly children?: ComponentChildren;
}

export function Button({
  kind = 'plain',
  big = false,
  icon,
  type = 'button',
  disabled = false,
  pressed,
  autofocus = false,
  label,
  onClick,
  children,
}: ButtonProps) {
  const bare = children === undefined;
  return (
    <button
      type={type}
      class={`button ${kind === 'plain' ? '' : kind} ${big ? 'big' : ''} ${bare ? 'icon' : ''}`}
      disabled={disabled}
      aria-pressed={pressed}
      aria-label={label}
      title={bare ? label : undefined}
      data-autofocus={autofocus ? '' : undefined}
      onClick={onClick}
    >
      {icon === undefined ? null : <Icon name={icon} />}
      {children}
    </button>
  );
}
