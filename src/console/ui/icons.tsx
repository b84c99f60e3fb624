import type { ComponentChildren } from 'preact';

/** Drawn here: nothing is loaded for a picture. */
const PATHS = {
  overview: <path d="M3 13h4l3-9 4 16 3-7h4" />,
  decisions: <path d="M4 6h10M4 12h16M4 18h7M18 4l2 2 3-4" />,
  alerts: <path d="M12 3 2.5 20h19zM12 10v4M12 17.2v.1" />,
  runtimes: (
    <>
      <rect x="4" y="4" width="16" height="7" rx="2" />
      <rect x="4" y="13" width="16" height="7" rx="2" />
      <path d="M8 7.5h.1M8 16.5h.1" />
    </>
  ),
  policies: <path d="M7 3h8l4 4v14H7zM15 3v4h4M10.5 12h5M10.5 16h5" />,
  legacy: <path d="M12 8v5l3 2M3.5 12a8.5 8.5 0 1 0 2.6-6.1M3 4v4h4" />,
  operators: (
    <>
      <circle cx="9" cy="8" r="3.5" />
      <path d="M2.5 20c.6-4 3.200-6 6.500-6s5.900 2 6.500 6M16 4.800a3.500 3.500 0 0 1 0 6.400M18 14.500c2 .8 3.200 2.700 3.500 5.500" />
    </>
  ),
  keys: (
    <>
      <circle cx="8" cy="15" r="4" />
      <path d="m11 12 9-9M16 7l3 3" />
    </>
  ),
  sessions: (
    <>
      <rect x="3" y="4" width="18" height="12" rx="2" />
      <path d="M9 20h6" />
    </>
  ),
  audit: <path d="M5 4h14v16H5zM9 9h6M9 13h6M9 17h3" />,
  connect: <path d="M9 7 5 12l4 5M15 7l4 5-4 5" />,
  nodes: (
    <>
      <circle cx="12" cy="5" r="2.500" />
      <circle cx="5" cy="19" r="2.500" />
      <circle cx="19" cy="19" r="2.500" />
      <path d="m10.800 7.200-4.600 9.600M13.200 7.200l4.600 9.600M7.500 19h9" />
    </>
  ),
  copy: (
    <>
      <rect x="8" y="8" width="12" height="12" rx="2" />
      <path d="M16 8V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h2" />
    </>
  ),
  check: <path d="m4 12 5.500 5.500L20 7" />,
  cross: <path d="M6 6l12 12M18 6 6 18" />,
  pause: <path d="M8 5v14M16 5v14" />,
  play: <path d="M7 4.500v15l12-7.500z" />,
  stop: (
    <>
      <path d="M8 3h8l5 5v8l-5 5H8l-5-5V8z" />
      <path d="M9 9l6 6M15 9l-6 6" />
    </>
  ),
  link: (
    <path d="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.700-5.700l-1.300 1.300M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.700 5.700l1.300-1.300" />
  ),
  download: <path d="M12 4v11M7.500 11l4.500 4.500 4.500-4.500M4 20h16" />,
  menu: <path d="M4 7h16M4 12h16M4 17h16" />,
  sun: (
    <>
      <circle cx="12" cy="12" r="4" />
      <path d="M12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M5 5l1.700 1.700M17.300 17.300 19 19M19 5l-1.700 1.700M6.700 17.300 5 19" />
    </>
  ),
  moon: <path d="M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z" />,
  out: <path d="M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9" />,
  reload: <path d="M20 11a8 8 0 1 0-2.300 6.300M20 4v6h-6" />,
  offline: (
    <path d="M3 3l18 18M5 12.500a10 10 0 0 1 4-2.500M2 9a15 15 0 0 1 4-2.600M12 6a15 15 0 0 1 10 3M15 10.500a10 10 0 0 1 4 2M9 16a5 5 0 0 1 6 0M12 19.500v.1" />
  ),
  search: (
    <>
      <circle cx="10.500" cy="10.500" r="6.500" />
      <path d="m15.500 15.500 5 5" />
    </>
  ),
  down: <path d="m6 9 6 6 6-6" />,
} satisfies Record<string, ComponentChildren>;

export type IconName = keyof typeof PATHS;

/** Beside words: it says nothing by itself. */
export function Icon({ name, size = 16 }: { readonly name: IconName; readonly size?: number }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {PATHS[name]}
    </svg>
  );
}

/** The tombstone that ends a proof. */
export function Mark({ size = 28 }: { readonly size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="var(--accent-soft)" />
      <rect x="8" y="8" width="16" height="16" rx="2.500" fill="var(--accent)" />
      <rect x="13" y="13" width="6" height="6" rx="1" fill="var(--panel)" />
    </svg>
  );
}
