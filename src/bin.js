#!/usr/bin/env node
// Parsed by old versions of Node too, as a script or a module: no syntax of today, no static import.
var needed = 24;
if (parseInt(process.versions.node, 10) < needed) {
  console.error(
    'lemma needs Node ' +
      needed +
      ' or newer, and this is Node ' +
      process.versions.node +
      '.\n' +
      'Get one from https://nodejs.org, or with a version manager: nvm install ' +
      needed,
  );
  process.exit(2);
}
// Compiled code is kept in the user's own folder: in a shared one, anybody could plant some.
Promise.all([import('node:module'), import('node:os'), import('node:path')])
  .then((nodes) =>
    nodes[0].enableCompileCache(nodes[2].join(nodes[1].homedir(), '.cache', 'lemma', 'compile')),
  )
  // The published package is compiled; a clone is not.
  .then(() => import('./main.js'))
  .catch((error) => {
    var absent = error && error.code === 'ERR_MODULE_NOT_FOUND' && /[\\/]main\.js$/.test(String(error.url));
    if (!absent) throw error;
    return import('./main.ts');
  });
