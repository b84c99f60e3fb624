/** What a page must show as it stands. Each calls `ran()` where it is taken for more than text. */
export const NAUGHTY: readonly string[] = [
  '<img src=x onerror=ran()>',
  '"><script>ran()</script>',
  "'-ran()-'",
  '<svg/onload=ran()>',
  'javascript:ran()',
  '<a href="javascript:ran()">here</a>',
  '<iframe srcdoc="<script>parent.ran()</script>"></iframe>',
  '</title></textarea></style><script>ran()</script>',
  '<details open ontoggle=ran()>',
  '<math><mi//xlink:href="data:x,<script>ran()</script>">',
  '&lt;script&gt;ran()&lt;/script&gt;',
  '{{constructor.constructor("ran()")()}}',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a template that nobody must fill in
  '${ran()}',
  '<style>@import"//evil.example"</style>',
  '__proto__',
  '](javascript:ran())',
];
