/** Why a PostgreSQL is not copied: it has a tool for that, which sees all of one moment. */
export const NO_BACKUP =
  'the store is a PostgreSQL: back it up with pg_dump, or as that server is backed up, and the folder `keys` apart';
